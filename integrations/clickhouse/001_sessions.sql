-- What agents send, a line for each row: the lines of whose watch -o jsonl with the name
-- of the host. Nothing is kept here. The views below take what they need, with the rights
-- of who made them: an agent needs none but to write here.
CREATE TABLE IF NOT EXISTS {db}.whose_in
(
    version UInt8,
    time DateTime64(6, 'UTC'),
    event LowCardinality(String),
    `end` LowCardinality(String),
    `by` LowCardinality(String),
    errno UInt32,
    duration UInt64,
    stood_before Bool,
    sent Tuple(bytes Nullable(UInt64), datagrams Nullable(UInt64)),
    received Tuple(bytes Nullable(UInt64), datagrams Nullable(UInt64)),
    lost UInt64,
    cause LowCardinality(String),
    why String,
    host LowCardinality(String),
    session Tuple(
        proto LowCardinality(String),
        family LowCardinality(String),
        local_addr IPv6,
        local_port UInt16,
        remote_addr IPv6,
        remote_port UInt16,
        state LowCardinality(String),
        cookie UInt64,
        uid Nullable(UInt32),
        user LowCardinality(String),
        netns UInt32,
        netns_name LowCardinality(String),
        direction LowCardinality(String),
        flow String,
        rtt Nullable(UInt32),
        retrans Nullable(UInt32),
        opened Nullable(DateTime64(6, 'UTC')),
        first_seen Nullable(DateTime64(6, 'UTC')),
        owners Array(Tuple(
            pid UInt32,
            start_time DateTime64(2, 'UTC'),
            comm String,
            exe String,
            cmdline String,
            unit LowCardinality(String),
            container LowCardinality(String),
            pod LowCardinality(String)))
    )
)
ENGINE = Null;

-- One row for each end of a session. A session that stands is sent again every five
-- minutes: the row that was seen last replaces the others of its key. Who reads before
-- the merge groups by host and cookie.
CREATE TABLE IF NOT EXISTS {db}.session_end
(
    flow UInt64,
    side Enum8('none' = 0, 'client' = 1, 'server' = 2),
    host LowCardinality(String),
    netns UInt32,
    netns_name LowCardinality(String),
    cookie UInt64 CODEC(Delta, ZSTD(1)),
    proto LowCardinality(String),
    client_addr IPv6,
    client_port UInt16,
    server_addr IPv6,
    server_port UInt16,
    open DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    seen DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    state LowCardinality(String),
    event LowCardinality(String),
    `end` LowCardinality(String),
    `by` LowCardinality(String),
    errno UInt32,
    duration Nullable(UInt64) CODEC(ZSTD(1)),
    stood_before Bool,
    pid UInt32,
    pid_start DateTime64(2, 'UTC'),
    comm LowCardinality(String),
    exe LowCardinality(String),
    cmdline String CODEC(ZSTD(3)),
    uid Nullable(UInt32),
    user LowCardinality(String),
    unit LowCardinality(String),
    container LowCardinality(String),
    pod LowCardinality(String),
    owners UInt16,
    sent Nullable(UInt64) CODEC(ZSTD(1)),
    received Nullable(UInt64) CODEC(ZSTD(1)),
    rtt Nullable(UInt32) CODEC(ZSTD(1)),
    retrans Nullable(UInt32) CODEC(ZSTD(1)),
    arrived DateTime DEFAULT now(),
    -- A session that stands for weeks moves along with its reports, so that the end of
    -- the keeping does not take what is still there.
    day Date DEFAULT if(seen - toIntervalDay(7) > open, toDate(seen), toDate(open)),
    PROJECTION by_flow (SELECT _part_offset ORDER BY flow),
    INDEX i_client client_addr TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX i_host host TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX i_unit unit TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX i_seen seen TYPE minmax GRANULARITY 4
)
ENGINE = ReplacingMergeTree(seen)
PARTITION BY day
ORDER BY (toStartOfHour(open), server_port, server_addr, flow, side, host, cookie)
TTL day + INTERVAL 14 DAY
SETTINGS ttl_only_drop_parts = 1, deduplicate_merge_projection_mode = 'rebuild', non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {db}.session_end_in TO {db}.session_end
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    reinterpretAsUInt64(reverse(unhex(session.flow))) AS flow,
    multiIf(session.direction = 'out', 'client', session.direction = 'in', 'server', 'none') AS side,
    host,
    session.netns AS netns,
    session.netns_name AS netns_name,
    session.cookie AS cookie,
    session.proto AS proto,
    if(side = 'server', session.remote_addr, session.local_addr) AS client_addr,
    if(side = 'server', session.remote_port, session.local_port) AS client_port,
    if(side = 'server', session.local_addr, session.remote_addr) AS server_addr,
    if(side = 'server', session.local_port, session.remote_port) AS server_port,
    coalesce(session.opened, session.first_seen, time) AS open,
    time AS seen,
    session.state AS state,
    event,
    `end`,
    `by`,
    errno,
    if(event = 'standing', NULL, duration) AS duration,
    stood_before,
    session.owners[1].pid AS pid,
    session.owners[1].start_time AS pid_start,
    session.owners[1].comm AS comm,
    session.owners[1].exe AS exe,
    session.owners[1].cmdline AS cmdline,
    session.uid AS uid,
    session.user AS user,
    session.owners[1].unit AS unit,
    session.owners[1].container AS container,
    session.owners[1].pod AS pod,
    length(session.owners) AS owners,
    sent.bytes AS sent,
    received.bytes AS received,
    session.rtt AS rtt,
    session.retrans AS retrans
FROM {db}.whose_in
WHERE event IN ('close', 'fail', 'standing') AND session.state NOT IN ('LISTEN', 'UNCONN');

-- Sockets that listen, and when each was seen first and last.
CREATE TABLE IF NOT EXISTS {db}.listener
(
    host LowCardinality(String),
    netns UInt32,
    cookie UInt64,
    proto LowCardinality(String),
    addr IPv6,
    port UInt16,
    comm LowCardinality(String),
    exe LowCardinality(String),
    user LowCardinality(String),
    unit LowCardinality(String),
    container LowCardinality(String),
    pod LowCardinality(String),
    open DateTime64(6, 'UTC'),
    seen DateTime64(6, 'UTC'),
    gone Bool
)
ENGINE = ReplacingMergeTree(seen)
ORDER BY (host, port, proto, netns, addr, cookie)
TTL toDateTime(seen) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {db}.listener_in TO {db}.listener
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    host,
    session.netns AS netns,
    session.cookie AS cookie,
    session.proto AS proto,
    session.local_addr AS addr,
    session.local_port AS port,
    session.owners[1].comm AS comm,
    session.owners[1].exe AS exe,
    session.user AS user,
    session.owners[1].unit AS unit,
    session.owners[1].container AS container,
    session.owners[1].pod AS pod,
    coalesce(session.opened, session.first_seen, time) AS open,
    time AS seen,
    event = 'unlisten' AS gone
FROM {db}.whose_in
WHERE event IN ('listen', 'unlisten', 'bind') OR event = 'standing' AND session.state IN ('LISTEN', 'UNCONN');

-- Who talked to what, by the hour: a session counts once, as it ends, with its bytes.
CREATE TABLE IF NOT EXISTS {db}.edge
(
    hour DateTime,
    host LowCardinality(String),
    side Enum8('none' = 0, 'client' = 1, 'server' = 2),
    proto LowCardinality(String),
    comm LowCardinality(String),
    unit LowCardinality(String),
    container LowCardinality(String),
    -- The other end's address; the port is the server's.
    peer_addr IPv6,
    server_port UInt16,
    sessions UInt64,
    failed UInt64,
    sent UInt64,
    received UInt64
)
ENGINE = SummingMergeTree((sessions, failed, sent, received))
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, server_port, peer_addr, host, side, proto, comm, unit, container)
TTL hour + INTERVAL 13 MONTH
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {db}.edge_in TO {db}.edge
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    toStartOfHour(time) AS hour,
    host,
    multiIf(session.direction = 'out', 'client', session.direction = 'in', 'server', 'none') AS side,
    session.proto AS proto,
    session.owners[1].comm AS comm,
    session.owners[1].unit AS unit,
    session.owners[1].container AS container,
    session.remote_addr AS peer_addr,
    if(side = 'server', session.local_port, session.remote_port) AS server_port,
    countIf(event = 'close') AS sessions,
    countIf(event = 'fail') AS failed,
    sum(ifNull(sent.bytes, 0)) AS sent,
    sum(ifNull(received.bytes, 0)) AS received
FROM {db}.whose_in
WHERE event IN ('close', 'fail')
GROUP BY hour, host, side, proto, comm, unit, container, peer_addr, server_port;

-- Events that were lost, on the way or by a bound.
CREATE TABLE IF NOT EXISTS {db}.gap
(
    time DateTime64(6, 'UTC'),
    host LowCardinality(String),
    lost UInt64,
    cause LowCardinality(String),
    why String
)
ENGINE = MergeTree
ORDER BY (host, time)
TTL toDateTime(time) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {db}.gap_in TO {db}.gap
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT time, host, lost, cause, why FROM {db}.whose_in WHERE event = 'lost';

-- Hosts that report: since when, until when, by their own clocks and by ours.
CREATE TABLE IF NOT EXISTS {db}.host
(
    host LowCardinality(String),
    first SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    last SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    arrived SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    -- The least time by which the newest line of a batch was older than its arrival: of a
    -- clock that goes before ours it is negative.
    lag SimpleAggregateFunction(min, Int64),
    lines SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY host
SETTINGS non_replicated_deduplication_window = 1000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {db}.host_in TO {db}.host
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    host,
    min(time) AS first,
    max(time) AS last,
    now64(6, 'UTC') AS arrived,
    dateDiff('microsecond', max(time), now64(6, 'UTC')) AS lag,
    count() AS lines
FROM {db}.whose_in
GROUP BY host;
