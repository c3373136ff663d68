-- Whether the current epoch is that of the connected cluster.
SELECT EXISTS (
    SELECT FROM cluster AS c, pg_control_system() AS s WHERE c.system_identifier = s.system_identifier
)
