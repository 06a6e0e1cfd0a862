-- PostgreSQL has no zero character, and reads no JSON that writes one, or half of a character, as an escape.

-- Members as they are stored: the replacement character stands for a zero character. A backslash before a backslash
-- begins no escape.
CREATE OR REPLACE FUNCTION json_texts(list text) RETURNS TABLE (value text) LANGUAGE sql IMMUTABLE ROWS 100 AS $$
    SELECT v COLLATE "C" FROM json_array_elements_text(
        regexp_replace(list, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::json) v;
$$;

-- Whether a customer's data says that they have no account.
CREATE FUNCTION is_guest(data text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce((regexp_replace(data, '\\u(0000|d[89a-f]..)', '\\ufffd', 'gi')::json ->> 'guest')::boolean, false);
$$;
