-- Whether a destination is for trying out; one without a name is not.
create or replace macro m3ter_staging.is_sandbox_destination(destination) as
coalesce(right(destination, 5) = '_TEST' or right(destination, 8) = '_SANDBOX', false);
