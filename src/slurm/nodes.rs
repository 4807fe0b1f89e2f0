//! Slurm's nodes, copied into owned data.

use std::collections::BTreeMap;

use slurm_asg_core::ids::NodeName;
use slurm_asg_core::node_state::NodeState;
use slurm_asg_core::snapshot::Node;
use slurm_asg_core::time::Timestamp;

use super::ffi::{SlurmApi, node_info_msg_t, node_info_t};
use super::host::{copy_text, records};
use super::queue::shared_text;
use super::release::in_use;

/// Copies an answer of slurm_load_node.
///
/// # Safety
/// `message` is such an answer and has not been freed.
pub unsafe fn copy_nodes(api: &SlurmApi, message: &node_info_msg_t) -> BTreeMap<NodeName, Node> {
    // SAFETY: node_array has record_count elements (slurm.h, node_info_msg_t).
    let records = unsafe { records(message.node_array, message.record_count) };
    let nodes = records.iter().zip(0..).filter_map(|(record, index)| {
        // SAFETY: records of an answer that has not been freed.
        unsafe { copy_node(api, record, index) }
    });
    nodes.map(|node| (node.name.clone(), node)).collect()
}

/// Copies one record; `None` for hidden nodes, whose name is NULL.
///
/// # Safety
/// `record` is part of an answer of slurm_load_node that has not been freed.
unsafe fn copy_node(api: &SlurmApi, record: &node_info_t, index: u32) -> Option<Node> {
    // SAFETY: the strings of a record are NUL-terminated or NULL.
    let text = |field| unsafe { copy_text(field) };
    // SAFETY: as above.
    let shared = |field| unsafe { shared_text(field) };
    let name = text(record.name).filter(|name| !name.is_empty())?;
    let state = NodeState(record.node_state);
    let idle = record.last_busy > 0 && !state.has_work();
    // SAFETY: as for this function.
    let (alloc_cpus, alloc_memory) = unsafe { in_use(api, record) };
    Some(Node {
        name: NodeName::new(&name),
        index,
        state,
        address: text(record.node_addr).unwrap_or_default(),
        reason: text(record.reason).unwrap_or_default(),
        idle_since: idle.then(|| Timestamp::from_secs(record.last_busy)),
        cpus: u32::from(record.cpus),
        sockets: u32::from(record.sockets),
        cores: u32::from(record.cores),
        threads: u32::from(record.threads),
        core_spec_cnt: u32::from(record.core_spec_cnt),
        memory_mib: record.real_memory,
        mem_spec_limit: record.mem_spec_limit,
        tmp_disk: record.tmp_disk,
        weight: record.weight,
        features: shared(record.features),
        features_act: shared(record.features_act),
        gres: shared(record.gres),
        gres_used: shared(record.gres_used),
        alloc_cpus,
        alloc_memory,
    })
}
