-- Whether a destination is for trying out; one without a name is not.
create or replace macro m3ter_staging.is_sandbox_destination(destination) as
coalesce(ends_with(destination, '_TEST') or ends_with(destination, '_SANDBOX'), false);
