//! A primary and a backup slurmctld on one machine.
//!
//! slurmctld knows which of slurm.conf's SlurmctldHost it is by the host's name, and with
//! `NoCtldInAddrAny` listens only at that name's address (`_controller_index` in
//! src/slurmctld/controller.c, `slurm_setup_addr` in src/common/slurm_protocol_api.c, 22.05 to
//! 26.05). So each gets a name in a UTS namespace of its own, and an /etc/hosts that has both. A
//! pid file of its own it gets too: slurmctld ends whoever is in it. The namespaces end with their
//! process.

/// How many seconds the backup waits for the primary before it takes over.
pub const TAKEOVER_S: u32 = 6;

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// The first SlurmctldHost.
    Primary,
    /// The second.
    Backup,
}

impl Controller {
    const fn host(self) -> &'static str {
        match self {
            Self::Primary => "ctl-1",
            Self::Backup => "ctl-2",
        }
    }

    const fn address(self) -> &'static str {
        match self {
            Self::Primary => "127.0.1.1",
            Self::Backup => "127.0.1.2",
        }
    }

    /// Its log, below the cluster's directory.
    #[must_use]
    pub const fn log(self) -> &'static str {
        match self {
            Self::Primary => "log/slurmctld.log",
            Self::Backup => "log/backup.log",
        }
    }
}

const BOTH: [Controller; 2] = [Controller::Primary, Controller::Backup];

/// /etc/hosts of both.
pub fn hosts() -> String {
    let lines = BOTH.map(|it| format!("{} {}\n", it.address(), it.host()));
    format!("127.0.0.1 localhost\n{}", lines.concat())
}

/// slurm.conf's lines about both.
pub fn slurm_conf() -> String {
    let lines = BOTH.map(|it| format!("SlurmctldHost={}({})\n", it.host(), it.address()));
    format!(
        "{}CommunicationParameters=NoCtldInAddrAny\nSlurmctldTimeout={TAKEOVER_S}\n",
        lines.concat()
    )
}

/// The command that becomes `program` on the host of one of the two: a program and its arguments.
pub fn on_its_host(
    controller: Controller,
    hosts: String,
    pid_dir: String,
    program: &[String],
) -> (&'static str, Vec<String>) {
    const BECOME: &str = "mount --bind \"$1\" /etc/hosts; mount -t tmpfs pid \"$2\"; \
        echo \"$3\" > /proc/sys/kernel/hostname; shift 3; exec \"$@\"";
    let begin = ["--uts", "--mount", "--propagation", "private", "/bin/sh", "-euc", BECOME, "sh"];
    let arguments = begin.iter().map(|it| (*it).to_owned());
    let own = [hosts, pid_dir, controller.host().to_owned()];
    ("/usr/bin/unshare", arguments.chain(own).chain(program.iter().cloned()).collect())
}
