-- What is left of the first 1,000 characters of an error text when all that differs from case to case is masked:
-- quoted values, addresses, UUIDs and the name in brackets after one, dates with or without times, and words that hold a digit: numbers, ids.
-- Classes are written out: what \s, \d and \w hold differs from engine to engine. \b is translated (warehouse/dialects.py).
create or replace macro m3ter_staging.error_template(error) as
regexp_replace(
    regexp_replace(
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    regexp_replace(
                        left(error, 1000),
                        'https?://[^ \t\n\f\r"''<>]*[^ \t\n\f\r"''<>.,;:)]', '<url>', 'g'
                    ),
                    '"[^"]*"|(^|[ \t\n\f\r(=:\[])''[^'']*''', '\1<value>', 'g'
                ),
                '\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b', '<uuid>', 'g'
            ),
            '<uuid> \([^()]*\)', '<uuid> (<value>)', 'g'
        ),
        '\b[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?( ?(Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?)?\b', '<date>', 'g'
    ),
    '[0-9A-Za-z_]*[0-9][0-9A-Za-z_]*([.,][0-9]+)*', '<number>', 'g'
);
