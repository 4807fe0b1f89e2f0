//! Where the configuration and the socket are.
//!
//! Slurm gives its programs SLURM_CONF and nothing else, so everything is found from there.

use std::env;
use std::path::{Path, PathBuf};

use serde::Deserialize;

const DEFAULT_SLURM_CONF: &str = "/etc/slurm/slurm.conf";
/// Where the plugin's socket is if nothing else is said.
pub const DEFAULT_SOCKET: &str = "/run/slurm-asg/asg.sock";

/// asg.toml: `SLURM_ASG_CONFIG`, else beside slurm.conf (`SLURM_CONF`, else /etc/slurm).
#[must_use]
pub fn config_path() -> PathBuf {
    if let Some(path) = env::var_os("SLURM_ASG_CONFIG") {
        return PathBuf::from(path);
    }
    let slurm_conf = slurm_conf_path();
    let dir = slurm_conf.parent().unwrap_or_else(|| Path::new("/etc/slurm"));
    dir.join("asg.toml")
}

/// slurm.conf: `SLURM_CONF`, else the one in /etc/slurm.
#[must_use]
pub fn slurm_conf_path() -> PathBuf {
    env::var_os("SLURM_CONF").map_or_else(|| DEFAULT_SLURM_CONF.into(), PathBuf::from)
}

/// The socket: `SLURM_ASG_SOCKET`, else what asg.toml says, else the default.
#[must_use]
pub fn socket_path() -> PathBuf {
    if let Some(path) = env::var_os("SLURM_ASG_SOCKET") {
        return PathBuf::from(path);
    }
    let text = std::fs::read_to_string(config_path()).unwrap_or_default();
    socket_in(&text).unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))
}

/// The key `socket` of an asg.toml; everything else in it is the plugin's business.
fn socket_in(text: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct OnlySocket {
        socket: Option<PathBuf>,
    }
    toml::from_str::<OnlySocket>(text).ok().and_then(|file| file.socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_found_in_any_configuration() {
        let text = "region = \"eu-west-1\"\nsocket = \"/tmp/x.sock\"\n[[group]]\nname = 3\n";
        assert_eq!(socket_in(text), Some(PathBuf::from("/tmp/x.sock")));
        assert_eq!(socket_in(""), None);
        assert_eq!(socket_in("[["), None);
    }
}
