//! A job's AdminComment, as far as it matters here.

use std::sync::Arc;

/// Who has written a job's AdminComment. Others' words are not kept: they are none of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comment {
    /// A notice of slurm-asg's.
    Ours(Arc<str>),
    /// Something else.
    Others,
}
