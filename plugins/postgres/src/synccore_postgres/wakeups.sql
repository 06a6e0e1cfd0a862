-- Who waits for work of a sink hears of it at the commit: what may be claimed, and what a lane may do.
CREATE FUNCTION tell_sink() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('synccore_' || md5(TG_TABLE_SCHEMA), CASE WHEN TG_OP = 'DELETE' THEN old.sink ELSE new.sink END);
    RETURN NULL;
END $$;
CREATE TRIGGER delivery_owed AFTER INSERT ON delivery FOR EACH ROW
    WHEN (new.state = 'ready' AND new.blocked = 0) EXECUTE FUNCTION tell_sink();
CREATE TRIGGER delivery_freed AFTER UPDATE ON delivery FOR EACH ROW
    WHEN (new.state = 'ready' AND new.blocked = 0
        AND (old.state <> 'ready' OR old.blocked <> 0 OR new.due_at < old.due_at)) EXECUTE FUNCTION tell_sink();
CREATE TRIGGER lane_changed AFTER INSERT OR UPDATE ON lane FOR EACH ROW EXECUTE FUNCTION tell_sink();
CREATE TRIGGER hold_changed AFTER INSERT OR UPDATE OR DELETE ON hold FOR EACH ROW EXECUTE FUNCTION tell_sink();
