-- Whether the current epoch belongs to the cluster that we are connected to.
SELECT EXISTS (
    SELECT FROM cluster AS c, pg_control_system() AS s WHERE c.system_identifier = s.system_identifier
)
