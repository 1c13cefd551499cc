-- What is left of the first 1,000 characters of an error text when all that differs from case to case is masked:
-- quoted values, addresses, UUIDs and the name in brackets after one, dates with or without times, and words that hold a digit: numbers, ids.
create or replace macro m3ter_staging.error_template(error) as
regexp_replace(
    regexp_replace(
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    regexp_replace(
                        left(error, 1000),
                        'https?://[^\s"''<>]*[^\s"''<>.,;:)]', '<url>', 'g'
                    ),
                    '"[^"]*"|(^|[\s(=:\[])''[^'']*''', '\1<value>', 'g'
                ),
                '\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b', '<uuid>', 'g'
            ),
            '<uuid> \([^()]*\)', '<uuid> (<value>)', 'g'
        ),
        '\b\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?( ?(Z|UTC|[+-]\d{2}:?\d{2}))?)?\b', '<date>', 'g'
    ),
    '\w*\d\w*([.,]\d+)*', '<number>', 'g'
);
