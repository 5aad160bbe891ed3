//! Names of the metrics, in one place, so that dashboards and code agree. All go through the `metrics` facade.

/// Counter: messages confirmed by the broker.
pub const PUBLISHED: &str = "promiscuous_published_total";
/// Counter: publications that were not confirmed and stay in the outbox.
pub const PUBLISH_FAILED: &str = "promiscuous_publish_failed_total";
/// Counter: committed messages left to the outbox sweeper because too many were in hand.
pub const LEFT_TO_SWEEPER: &str = "promiscuous_left_to_sweeper_total";
/// Counter: ops of dead writers whose versions were consumed by a dummy.
pub const RECOVERED_OPS: &str = "promiscuous_recovered_ops_total";
/// Counter: reads that a context forgot because it remembered too many.
pub const READS_DROPPED: &str = "promiscuous_context_reads_dropped_total";
/// Counter: reads whose rows could not be known.
pub const READS_UNRESOLVED: &str = "promiscuous_reads_unresolved_total";
/// Counter: messages applied (including those found to be applied already).
pub const APPLIED: &str = "promiscuous_applied_total";
/// Counter: attempts to apply a message that failed.
pub const APPLY_FAILED: &str = "promiscuous_apply_failed_total";
/// Counter: messages applied without their causes, because `wait_timeout` ran out or the cause was lost with the publisher's Redis.
pub const RECOVERED: &str = "promiscuous_recovered_total";
/// Counter: bodies that are no message, sent to the dead letters.
pub const POISON: &str = "promiscuous_poison_total";
/// Counter: messages that failed for the last time, and went to the dead letters.
pub const DEAD: &str = "promiscuous_dead_total";
/// Counter: blocked messages that were parked in the database.
pub const PARKED: &str = "promiscuous_parked_total";
/// Gauge: messages in memory that wait for a cause.
pub const BLOCKED: &str = "promiscuous_blocked";
/// Histogram: seconds from the publisher's write to the subscriber's commit, by the two machines' clocks.
pub const LATENCY: &str = "promiscuous_latency_seconds";
