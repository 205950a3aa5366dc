internal import PostgresClusterAPI

/// How poolers look up the verifier of a role's password in a database.
public enum PoolerLookup {
    /// The schema, in every database that poolers lead to.
    public static let schema = "drover"
    /// The function in it: a role's name in; `username` and `verifier` out, no row for one who may not come this way.
    public static let function = "drover.pooler_lookup"

    /// Makes the role that poolers come as, once per cluster.
    ///
    /// It comes with a client certificate and can do nothing but call the function.
    public static let roleDefinition = """
        do $drover$
        begin
            if not exists (select from pg_catalog.pg_roles where rolname = '\(DatabaseRoles.pooler)') then
                create role \(DatabaseRoles.pooler) with login;
            end if;
        end
        $drover$;
        """

    /// Makes schema and function in the database it is run in.
    ///
    /// May be run again. Verifiers of superusers, of roles that replicate, and of Drover's own are never handed out, so
    /// that nobody comes in as one of them through a pooler. A schema of that name that belongs to somebody else is an
    /// error: its owner could hand out verifiers of their own.
    public static let definition = """
        do $drover$
        begin
            if exists (
                select from pg_catalog.pg_namespace n join pg_catalog.pg_roles r on r.oid = n.nspowner
                where n.nspname = '\(schema)' and not r.rolsuper
            ) then
                raise exception 'schema \(schema) belongs to somebody else, so clients cannot come in through a pooler';
            end if;
        end
        $drover$;
        create schema if not exists \(schema);
        revoke all on schema \(schema) from public;
        create or replace function \(function)(name text, out username text, out verifier text) returns setof record
            language sql stable strict security definer set search_path = pg_catalog, pg_temp
            as $drover$
                select rolname::text, rolpassword
                from pg_catalog.pg_authid
                where rolname::text = $1 and rolcanlogin and not rolsuper and not rolreplication
                    and rolname !~ '^(drover|pg)_' and rolpassword like 'SCRAM-SHA-256$%'
                    and (rolvaliduntil is null or rolvaliduntil > now())
            $drover$;
        revoke all on function \(function)(text) from public;
        grant usage on schema \(schema) to \(DatabaseRoles.pooler);
        grant execute on function \(function)(text) to \(DatabaseRoles.pooler);
        """
}
