//! A sandbox with short delays, and ways to talk to it.

use slurm_asg_sandbox::{Config, InstanceState, Sandbox, SandboxClient};
use std::ops::Deref;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const GROUP: &str = "g";
pub const AUTOSCALING: &str = "2011-01-01";
pub const EC2: &str = "2016-11-15";
pub const CLOUDWATCH: &str = "2010-08-01";

pub struct Bench {
    pub sandbox: Sandbox,
    pub client: SandboxClient,
    pub dir: TempDir,
}

impl Deref for Bench {
    type Target = SandboxClient;

    fn deref(&self) -> &SandboxClient {
        &self.client
    }
}

/// The text of a configuration whose delays are short; `boot` is a shell script.
pub fn config_text(dir: &Path, boot: &str, extra: &str) -> String {
    format!(
        "boot_command = [\"/bin/sh\", \"-c\", '''{boot}''']\nlog_dir = \"{}\"\nlaunch_delay_ms = 10\nboot_delay_ms = 20\n\
         terminate_delay_ms = 20\nreplace_delay_ms = 50\nretry_delay_ms = 50\n{extra}\n\
         [[group]]\nname = \"{GROUP}\"\nmax = 8\nnew_instances_protected = false\n",
        dir.join("log").display()
    )
}

impl Bench {
    pub fn new(boot: &str, extra: &str) -> Self {
        Self::with_group(boot, extra, "")
    }

    /// Like [`Bench::new`], with further lines of the group's configuration.
    pub fn with_group(boot: &str, extra: &str, group: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let text = config_text(dir.path(), boot, extra) + group;
        let config = Config::parse(&text, "test").unwrap();
        let sandbox = Sandbox::start(config).unwrap();
        Self { client: sandbox.client(), sandbox, dir }
    }

    /// One whose instances do nothing, for tests of the interfaces.
    pub fn idle() -> Self {
        Self::new("exec sleep 1000", "isolate = false")
    }

    /// A signed API call: status and XML.
    pub fn call(&self, version: &str, query: &str) -> (u16, String) {
        let body = format!("Version={version}&Action={query}");
        self.request("POST", "/", &["Authorization: AWS4-HMAC-SHA256 x"], &body).unwrap()
    }

    pub fn set_desired(&self, desired: u32) {
        let (status, xml) = self.call(
            AUTOSCALING,
            &format!("SetDesiredCapacity&AutoScalingGroupName={GROUP}&DesiredCapacity={desired}"),
        );
        assert_eq!(status, 200, "{xml}");
    }

    pub fn instances(&self) -> Vec<InstanceState> {
        self.state().unwrap().group(GROUP).unwrap().instances.clone()
    }

    /// Waits until `count` instances are in service, and returns them.
    pub fn up(&self, count: usize) -> Vec<InstanceState> {
        eventually(&format!("{count} instances in service"), || {
            let instances = self.instances();
            let running =
                |instance: &InstanceState| instance.lifecycle == "InService" && instance.alive;
            (instances.len() == count && instances.iter().all(running)).then_some(instances)
        })
    }

    /// Raises the group to one instance.
    pub fn one(&self) -> InstanceState {
        self.set_desired(1);
        self.up(1).remove(0)
    }
}

pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The text of the first `<tag>` element.
pub fn element<'a>(xml: &'a str, tag: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    Some(rest.split_once(&format!("</{tag}>"))?.0)
}
