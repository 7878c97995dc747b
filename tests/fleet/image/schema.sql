CREATE TABLE accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    status text NOT NULL,
    owner_id bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_accounts_owner_id ON accounts (owner_id);
CREATE TABLE activities (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES accounts,
    kind text NOT NULL,
    note text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_activities_account_id ON activities (account_id);
CREATE TABLE audit_logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor text NOT NULL,
    action text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_audit_logs_created_at ON audit_logs (created_at);

INSERT INTO accounts (name, status, owner_id)
SELECT 'Account ' || n, (ARRAY['active', 'dormant', 'lead'])[1 + n % 3], 1 + n % 200
FROM generate_series(1, 5000) AS n;
INSERT INTO activities (account_id, kind, note, created_at)
SELECT 1 + n % 5000, (ARRAY['call', 'mail', 'meeting'])[1 + n % 3], repeat('note ', 10),
       now() - n * interval '10 minutes'
FROM generate_series(1, 20000) AS n;
INSERT INTO audit_logs (actor, action, created_at)
SELECT 'operator', 'update', now() - n * interval '5 minutes'
FROM generate_series(1, 20000) AS n;
