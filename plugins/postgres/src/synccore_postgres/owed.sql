-- Members of an object in their order, as `json_texts` gives those of a list. Keys that are one here are one.
CREATE FUNCTION json_owed(list text) RETURNS TABLE (key text, value text) LANGUAGE sql IMMUTABLE ROWS 100 AS $$
    SELECT k COLLATE "C", min(v) FROM json_each_text(
        regexp_replace(list, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::json) WITH ORDINALITY AS e (k, v, n)
    GROUP BY k ORDER BY min(n);
$$;
