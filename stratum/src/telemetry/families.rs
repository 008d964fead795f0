//! Every metric of the process but those that the API describes beside their registration: what kind it is, its unit,
//! and what it means. docs/METRICS.md says the same, and a test holds both against what a server really tells.

use metrics::Unit;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A family of metrics.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub kind: Kind,
    pub name: &'static str,
    pub unit: Unit,
    pub help: &'static str,
}

const fn family(kind: Kind, name: &'static str, unit: Unit, help: &'static str) -> Family {
    Family { kind, name, unit, help }
}

use Kind::{Counter, Gauge, Histogram};

/// In the order of docs/METRICS.md.
#[rustfmt::skip]
pub const FAMILIES: &[Family] = &[
    family(Gauge, "process_resident_memory_bytes", Unit::Bytes, "Resident memory of the process."),
    family(Gauge, "process_start_time_seconds", Unit::Seconds, "When the process started, since 1970."),
    family(Gauge, "stratum_build_info", Unit::Count, "Always 1; the label says which version runs."),
    family(Counter, "stratum_log_lines_dropped_total", Unit::Count, "Lines of the log that were dropped, because whoever reads standard error is too slow."),
    family(Gauge, "stratum_state", Unit::Count, "1 for the state that `stratum status` tells, 0 for the others."),
    family(Gauge, "stratum_figures_timestamp_seconds", Unit::Seconds, "When state, disks, space and redundancy were last looked at, since 1970."),
    family(Counter, "stratum_requests_total", Unit::Count, "Requests answered."),
    family(Histogram, "stratum_request_seconds", Unit::Seconds, "From a request's head to its answer's head."),
    family(Counter, "stratum_requests_unreadable_total", Unit::Count, "Requests whose head couldn't be read."),
    family(Counter, "stratum_received_bytes_total", Unit::Bytes, "Payload that came in."),
    family(Counter, "stratum_sent_bytes_total", Unit::Bytes, "Bytes of the bodies that answers announced."),
    family(Counter, "stratum_framed_bytes_total", Unit::Bytes, "Bytes of bodies that were stored coded, as clients see them."),
    family(Counter, "stratum_framed_stored_bytes_total", Unit::Bytes, "What was stored of them."),
    family(Gauge, "stratum_drives", Unit::Count, "Drives of the set: one for each tier of a disk."),
    family(Gauge, "stratum_drives_healthy", Unit::Count, "Drives of the set that can be counted on."),
    family(Gauge, "stratum_drive_healthy", Unit::Count, "1 when all drives on the disk can be counted on, else 0."),
    family(Gauge, "stratum_drive_slow", Unit::Count, "1 when a drive on the disk answers far later than its peers."),
    family(Gauge, "stratum_drive_writes_slowly", Unit::Count, "1 when a drive on the disk writes far later than its peers."),
    family(Gauge, "stratum_drive_rotting", Unit::Count, "1 when the disk gave so many bad pieces that it is to be replaced."),
    family(Gauge, "stratum_drive_fill", Unit::Count, "How full the disk is beside the reserve: 0 it has room, 1 almost full, 2 full."),
    family(Gauge, "stratum_drive_used_bytes", Unit::Bytes, "What the store's files take of the disk."),
    family(Gauge, "stratum_drive_free_bytes", Unit::Bytes, "What is free on the disk."),
    family(Histogram, "stratum_drive_seconds", Unit::Seconds, "Time of a read, write or sync of the disk."),
    family(Counter, "stratum_drive_errors_total", Unit::Count, "Operations of the disk that failed."),
    family(Counter, "stratum_drive_bad_pieces_total", Unit::Count, "Pieces that the disk gave back with other bytes than it was given."),
    family(Gauge, "stratum_objects", Unit::Count, "Objects that are current under their keys."),
    family(Gauge, "stratum_noncurrent_versions", Unit::Count, "Versions of objects that aren't current."),
    family(Gauge, "stratum_delete_markers", Unit::Count, "Delete markers."),
    family(Gauge, "stratum_buckets", Unit::Count, "Buckets."),
    family(Gauge, "stratum_logical_bytes", Unit::Bytes, "Bytes of all objects, those that aren't current among them, as clients see them."),
    family(Gauge, "stratum_missing_fragments", Unit::Count, "Fragments of live stripes that no healthy drive holds."),
    family(Gauge, "stratum_unreadable_objects", Unit::Count, "Objects, and uploads under way, of which a part can't be read now."),
    family(Gauge, "stratum_scrub_age_seconds", Unit::Seconds, "Since the last whole scrub ended; since the server started if none has."),
    family(Gauge, "stratum_tier_refuses_writes", Unit::Count, "1 while the tier refuses new data for want of space."),
    family(Gauge, "stratum_volumes_open", Unit::Count, "Volumes that are written to."),
    family(Gauge, "stratum_volumes_sealed", Unit::Count, "Volumes that are whole and only read."),
    family(Gauge, "stratum_volumes_dropped", Unit::Count, "Volumes whose files wait to be deleted."),
    family(Gauge, "stratum_volumes_live_bytes", Unit::Bytes, "Payload in volumes that something names."),
    family(Gauge, "stratum_volumes_sealed_disk_bytes", Unit::Bytes, "What sealed volumes take of the disks."),
    family(Gauge, "stratum_volumes_lost_shards", Unit::Count, "Shard files that no healthy drive holds."),
    family(Gauge, "stratum_volumes_repairs_waiting", Unit::Count, "Stripes that wait to be written anew."),
    family(Gauge, "stratum_buffers_idle_bytes", Unit::Bytes, "Buffers kept for the next writes."),
    family(Gauge, "stratum_journal_bytes", Unit::Bytes, "Length of the journal, a member."),
    family(Gauge, "stratum_journal_cap_bytes", Unit::Bytes, "Length from which on the journal refuses writes, a member."),
    family(Gauge, "stratum_journal_pressure", Unit::Count, "How near the journal is to its cap: 0 not near, 1 writes are slowed, 2 they are refused."),
    family(Counter, "stratum_journal_bad_reads_total", Unit::Count, "Reads of a member's journal that gave wrong bytes."),
    family(Histogram, "stratum_commit_group_entries", Unit::Count, "Entries that one write of the journal made durable together."),
    family(Gauge, "stratum_index_available", Unit::Count, "1 when the index can be asked; nothing is served without it."),
    family(Counter, "stratum_index_rebuilds_total", Unit::Count, "Times that the index failed and was rebuilt."),
    family(Gauge, "stratum_index_last_pause_seconds", Unit::Seconds, "How long nothing was served when the index was last rebuilt."),
    family(Gauge, "stratum_checkpoint_bytes", Unit::Bytes, "Size of the last checkpoint."),
    family(Counter, "stratum_checkpoints_total", Unit::Count, "Checkpoints taken."),
    family(Counter, "stratum_hedged_reads_total", Unit::Count, "Reads that were also asked of other drives, as one was late."),
    family(Counter, "stratum_bad_fragments_total", Unit::Count, "Fragments read whose checksum was wrong; they were computed from others."),
    family(Counter, "stratum_copies_repaired_total", Unit::Count, "Copies of journal, checkpoints and set files that were written anew."),
    family(Counter, "stratum_shards_rebuilt_total", Unit::Count, "Shard files rebuilt from others."),
    family(Counter, "stratum_shards_moved_total", Unit::Count, "Shard files moved to another drive."),
    family(Counter, "stratum_fragments_mended_total", Unit::Count, "Fragments written anew in place."),
    family(Counter, "stratum_packed_bodies_total", Unit::Count, "Small bodies packed from the journal into volumes."),
    family(Counter, "stratum_packed_bytes_total", Unit::Bytes, "Bytes of them."),
    family(Counter, "stratum_moved_bodies_total", Unit::Count, "Bodies moved to other volumes."),
    family(Counter, "stratum_moved_written_bytes_total", Unit::Bytes, "Bytes written to move them."),
    family(Counter, "stratum_transition_bytes_total", Unit::Bytes, "Bytes of objects that were copied to another tier."),
    family(Gauge, "stratum_usage_objects", Unit::Count, "Objects whose use is known."),
    family(Gauge, "stratum_usage_groups", Unit::Count, "Groups of objects, by the beginning of their keys, whose use is known."),
    family(Gauge, "stratum_usage_memory_bytes", Unit::Bytes, "Memory that this takes."),
    family(Counter, "stratum_usage_forgotten_total", Unit::Count, "Objects and groups whose use was forgotten to make room for others."),
    family(Counter, "stratum_usage_woken_total", Unit::Count, "Objects that were read where they are slow, or suddenly much, and so decided of at once."),
    family(Counter, "stratum_usage_woken_dropped_total", Unit::Count, "Such objects that found no room to wait, and were left to the next walk."),
    family(Gauge, "stratum_usage_saved_timestamp_seconds", Unit::Seconds, "When what is known of use was last saved, since 1970."),
    family(Counter, "stratum_tiering_decisions_total", Unit::Count, "Objects that were sent to another tier."),
    family(Gauge, "stratum_tiering_transition_cost_dollars", Unit::Count, "What these moves cost since the start, by the prices of the configuration, in dollars."),
    family(Gauge, "stratum_tiering_retrieval_cost_dollars", Unit::Count, "What reads from the tier cost more than the same ones from hot would have, since the start, in dollars."),
    family(Gauge, "stratum_tiering_objects", Unit::Count, "Objects with bytes that belong in the tier, as of the last walk."),
    family(Gauge, "stratum_tiering_bytes", Unit::Bytes, "Bytes of them, as clients see them."),
    family(Gauge, "stratum_tiering_compression_ratio", Unit::Count, "Bytes of bodies in the tier, as clients see them, for each byte that is stored of them, as of the last walk."),
    family(Gauge, "stratum_tiering_put_off_objects", Unit::Count, "Objects that belong in another tier and that the last walk left to later ones, or for want of room."),
    family(Gauge, "stratum_tiering_walk_objects", Unit::Count, "Objects that the last walk went over."),
    family(Gauge, "stratum_tiering_walk_seconds", Unit::Seconds, "How long the last walk over all objects took."),
    family(Counter, "stratum_placed_hot_instead_total", Unit::Count, "Bodies that were written to hot because the tier where they belong took nothing."),
    family(Counter, "stratum_compacted_volumes_total", Unit::Count, "Volumes emptied to get their garbage back."),
    family(Counter, "stratum_compacted_bytes_total", Unit::Bytes, "Bytes that this gave back."),
    family(Counter, "stratum_background_bytes_total", Unit::Bytes, "Bytes that background work read and wrote."),
    family(Counter, "stratum_background_operations_total", Unit::Count, "Operations of background work on drives."),
    family(Counter, "stratum_task_failures_total", Unit::Count, "Times that a background task failed and was begun again."),
    family(Gauge, "stratum_task_running", Unit::Count, "1 while the background task is at work, 0 while it waits to be begun again."),
];
