//! What a client of the plugin's socket sends: a request, or one line that says why it is none.

use crate::check_line;
use slurm_asg_wire::Request;

pub fn holds(line: &[u8]) {
    let request = match Request::read(line) {
        Ok(request) => request,
        Err(why) => return check_line(&why),
    };
    // What a client writes is one line, and reads the same.
    let written = serde_json::to_vec(&request).expect("a request can be written");
    assert!(!written.contains(&b'\n'));
    assert_eq!(Request::read(&written).as_ref(), Ok(&request));
}
