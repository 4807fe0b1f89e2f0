//! A survey of Auto Scaling groups for `slurm-asg check` and `slurm-asg init`: more than the loop needs,
//! and only when somebody asks. It changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_autoscaling::types::{AutoScalingGroup, LaunchTemplateSpecification};
use aws_sdk_ec2::types::{Filter, InstanceTypeInfo, LaunchTemplateVersion};
use slurm_asg_core::doctor::machine::types_of;
use slurm_asg_core::doctor::rights::CALLS;
use slurm_asg_core::doctor::survey::{
    Answer, GroupFacts, HookFacts, Right, Survey, TemplateFacts, TypeFacts,
};
use slurm_asg_core::ids::AsgName;
use slurm_asg_engine::{CloudError, CloudErrorKind};

use crate::calls::LastAnswer;
use crate::classify::{Failure, odd_answer};
use crate::client::Clients;
use crate::pace::Pace;
use crate::tags::node_tag;

const GROUPS: &str = "DescribeAutoScalingGroups";
const ACTIVITIES: &str = "DescribeScalingActivities";
const TEMPLATES: &str = "DescribeLaunchTemplateVersions";
const TYPES: &str = "DescribeInstanceTypes";
/// Names in a call of DescribeAutoScalingGroups with MaxRecords (API reference).
const NAMES_MAX: usize = 100;
const RECORDS_MAX: i32 = 100;
/// Values of a filter (API reference of EC2).
const FILTER_VALUES_MAX: usize = 200;
/// Pages of one answer.
const PAGES_MAX: usize = 20;

/// Asks for more than the loop does, by the same clients.
#[derive(Clone, Debug)]
pub struct Surveyor {
    clients: Clients,
}

impl Surveyor {
    pub(crate) const fn new(clients: Clients) -> Self {
        Self { clients }
    }

    /// Asks AWS for these groups, and for these instance types beside the groups' own. Never
    /// fails: what could not be asked is told in its place.
    pub async fn survey(&self, groups: &[String], types: &[String]) -> Survey {
        // Many groups are asked for one after the other: the account's own limits are shared.
        let pace = Pace::new(20, Duration::from_millis(100));
        let mut ask = Ask { clients: &self.clients, pace: &pace, rights: BTreeMap::new() };
        let mut survey = Survey::default();
        let mut wanted: BTreeSet<String> = types.iter().cloned().collect();
        let mut instance = None;
        for (name, answer) in ask.groups(groups).await {
            let told = match answer {
                Answer::Known(raw) => {
                    let facts = ask.facts(&name, &raw).await;
                    wanted.extend(types_of(&facts));
                    let mut members = raw.instances().iter().filter_map(|it| it.instance_id());
                    instance = members.next().map(str::to_owned).or(instance);
                    Answer::Known(facts)
                }
                Answer::Missing => Answer::Missing,
                Answer::Unknown(why) => Answer::Unknown(why),
            };
            survey.groups.insert(name, told);
        }
        if let Some(name) = survey.groups.keys().next() {
            ask.activities(name).await;
        }
        survey.types = ask.types(&wanted).await;
        ask.dry_runs(instance.as_deref()).await;
        let Ask { rights, .. } = ask;
        survey.rights = self.rights(rights);
        survey.clock_ahead_ms = self.clients.clock.ahead_ms();
        survey
    }

    /// What was found now, what earlier calls of this process have shown, and what is not known.
    fn rights(&self, mut found: BTreeMap<&'static str, Right>) -> BTreeMap<String, Right> {
        let earlier = self.clients.calls.last_answers();
        let mut right = |action: &'static str| {
            let operation = action.split(':').next_back().unwrap_or(action);
            found.remove(action).unwrap_or_else(|| match earlier.get(operation) {
                Some(LastAnswer::Allowed) => Right::Allowed,
                Some(LastAnswer::Denied) => Right::Denied("AWS denied the last call".to_owned()),
                None => Right::NotChecked(
                    "AWS has no dry run of it, and slurm-asg has not called it yet".to_owned(),
                ),
            })
        };
        CALLS.iter().map(|call| (call.action.to_owned(), right(call.action))).collect()
    }
}

struct Ask<'a> {
    clients: &'a Clients,
    pace: &'a Pace,
    rights: BTreeMap<&'static str, Right>,
}

impl Ask<'_> {
    /// Notes whether a call is allowed; what failed otherwise says nothing of it.
    fn note(&mut self, action: &'static str, result: Result<(), &CloudError>) {
        let right = match result {
            Ok(()) => Right::Allowed,
            Err(error) if error.kind == CloudErrorKind::Denied => {
                Right::Denied(error.message.clone())
            }
            Err(error) => Right::NotChecked(error.message.clone()),
        };
        self.rights.insert(action, right);
    }

    /// A group with its hooks and its launch template.
    async fn facts(&mut self, name: &str, raw: &AutoScalingGroup) -> GroupFacts {
        let mut facts = group_facts(raw);
        facts.hooks = Some(self.hooks(name).await);
        if let Some(template) = template_of(raw) {
            facts.template = Some(self.template(template).await);
        }
        facts
    }

    async fn groups(&mut self, names: &[String]) -> BTreeMap<String, Answer<AutoScalingGroup>> {
        let mut answers = BTreeMap::new();
        // No names at all would mean all groups of the account: `chunks` gives no chunk then.
        for names in names.chunks(NAMES_MAX) {
            let found = self.some_groups(names).await;
            let noted = found.as_ref().map(drop);
            self.note("autoscaling:DescribeAutoScalingGroups", noted);
            for name in names {
                let answer = match &found {
                    Ok(found) => found.get(name).cloned().map_or(Answer::Missing, Answer::Known),
                    Err(error) => Answer::Unknown(error.to_string()),
                };
                answers.insert(name.clone(), answer);
            }
        }
        answers
    }

    async fn some_groups(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, AutoScalingGroup>, CloudError> {
        let mut groups = BTreeMap::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            self.pace.take().await;
            let call = self.clients.autoscaling.describe_auto_scaling_groups();
            let call = call.set_auto_scaling_group_names(Some(names.to_vec()));
            let page = call.max_records(RECORDS_MAX).set_next_token(token).send().await;
            let page = page
                .map_err(|error| Failure::of(GROUPS, &error, &self.clients.autoscaling_at).error)?;
            for group in page.auto_scaling_groups() {
                let name = group.auto_scaling_group_name().unwrap_or_default();
                groups.insert(name.to_owned(), group.clone());
            }
            token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(groups);
            }
        }
        Err(odd_answer(GROUPS, &format!("more than {PAGES_MAX} pages")))
    }

    async fn hooks(&mut self, group: &str) -> Answer<Vec<HookFacts>> {
        self.pace.take().await;
        let found = crate::hooks::of_group(self.clients, &AsgName::new(group)).await;
        self.note("autoscaling:DescribeLifecycleHooks", found.as_ref().map(drop));
        match found {
            Ok(hooks) => Answer::Known(
                hooks
                    .into_iter()
                    .map(|hook| HookFacts {
                        name: hook.name,
                        transition: hook.transition,
                        timeout_secs: hook.timeout.as_secs(),
                    })
                    .collect(),
            ),
            Err(error) => Answer::Unknown(error.to_string()),
        }
    }

    async fn activities(&mut self, group: &str) {
        self.pace.take().await;
        let call = self.clients.autoscaling.describe_scaling_activities();
        let sent = call.auto_scaling_group_name(group).max_records(1).send().await;
        let sent = sent
            .map(drop)
            .map_err(|error| Failure::of(ACTIVITIES, &error, &self.clients.autoscaling_at).error);
        // A group that is not there is refused with a ValidationError, and after the rights.
        let sent = match &sent {
            Err(error) if error.kind == CloudErrorKind::Denied => Err(error),
            _ => Ok(()),
        };
        self.note("autoscaling:DescribeScalingActivities", sent);
    }

    async fn template(&mut self, template: &LaunchTemplateSpecification) -> Answer<TemplateFacts> {
        self.pace.take().await;
        let version = template.version().filter(|it| !it.is_empty()).unwrap_or("$Default");
        let call = self.clients.ec2.describe_launch_template_versions().versions(version);
        let call = match template.launch_template_id() {
            Some(id) => call.launch_template_id(id),
            None => {
                call.set_launch_template_name(template.launch_template_name().map(str::to_owned))
            }
        };
        let sent = call.send().await;
        let found = match sent {
            Ok(answer) => Ok(answer.launch_template_versions().first().map(template_facts)),
            Err(error) => {
                let failure = Failure::of(TEMPLATES, &error, &self.clients.ec2_at);
                if failure.is_unknown_template() { Ok(None) } else { Err(failure.error) }
            }
        };
        self.note("ec2:DescribeLaunchTemplateVersions", found.as_ref().map(drop));
        match found {
            Ok(facts) => facts.map_or(Answer::Missing, Answer::Known),
            Err(error) => Answer::Unknown(error.to_string()),
        }
    }

    async fn types(&mut self, names: &BTreeSet<String>) -> BTreeMap<String, Answer<TypeFacts>> {
        let names: Vec<&String> = names.iter().collect();
        let mut answers = BTreeMap::new();
        for names in names.chunks(FILTER_VALUES_MAX) {
            let found = self.some_types(names).await;
            let noted = found.as_ref().map(drop);
            self.note("ec2:DescribeInstanceTypes", noted);
            for name in names {
                let answer = match &found {
                    Ok(found) => found.get(*name).cloned().map_or(Answer::Missing, Answer::Known),
                    Err(error) => Answer::Unknown(error.to_string()),
                };
                answers.insert((*name).clone(), answer);
            }
        }
        answers
    }

    /// By a filter: a type that EC2 does not know is missing in the answer then, and spoils nothing.
    async fn some_types(
        &self,
        names: &[&String],
    ) -> Result<BTreeMap<String, TypeFacts>, CloudError> {
        let names = names.iter().map(|name| (*name).clone()).collect();
        let filter = Filter::builder().name("instance-type").set_values(Some(names)).build();
        let mut types = BTreeMap::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            self.pace.take().await;
            let call = self.clients.ec2.describe_instance_types().filters(filter.clone());
            let page = call.set_next_token(token).send().await;
            let page =
                page.map_err(|error| Failure::of(TYPES, &error, &self.clients.ec2_at).error)?;
            types.extend(page.instance_types().iter().filter_map(type_facts));
            token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(types);
            }
        }
        Err(odd_answer(TYPES, &format!("more than {PAGES_MAX} pages")))
    }

    /// Calls of EC2 that may be tried without being carried out, on an instance of a group: the
    /// policy is bound to such.
    async fn dry_runs(&mut self, instance: Option<&str>) {
        const READ: &str = "ec2:DescribeInstances";
        const TAG: &str = "ec2:CreateTags";
        const CONSOLE: &str = "ec2:GetConsoleOutput";
        let at = &self.clients.ec2_at;
        self.pace.take().await;
        let sent = self.clients.ec2.describe_instances().dry_run(true).send().await;
        let tried = settled(sent.map_err(|error| Failure::of("DescribeInstances", &error, at)));
        self.note(READ, tried.as_ref().map(drop));
        let Some(id) = instance else {
            let why = "no instance of a group is there to try it on";
            self.rights.extend([TAG, CONSOLE].map(|it| (it, Right::NotChecked(why.to_owned()))));
            return;
        };
        self.pace.take().await;
        let call = self.clients.ec2.create_tags().dry_run(true).resources(id);
        let sent = call.tags(node_tag("name")).send().await;
        let tried = settled(sent.map_err(|error| Failure::of("CreateTags", &error, at)));
        self.note(TAG, tried.as_ref().map(drop));
        self.pace.take().await;
        let call = self.clients.ec2.get_console_output().dry_run(true).instance_id(id);
        let sent = call.send().await;
        let tried = settled(sent.map_err(|error| Failure::of("GetConsoleOutput", &error, at)));
        self.note(CONSOLE, tried.as_ref().map(drop));
    }
}

/// A dry run that would be carried out is answered with an error of its own.
fn settled<T>(sent: Result<T, Failure>) -> Result<(), CloudError> {
    match sent {
        Err(failure) if !failure.is_dry_run() => Err(failure.error),
        _ => Ok(()),
    }
}

fn template_of(group: &AutoScalingGroup) -> Option<&LaunchTemplateSpecification> {
    let mixed = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
    let mixed = mixed.and_then(|template| template.launch_template_specification());
    group.launch_template().or(mixed)
}

fn size(value: Option<i32>) -> u32 {
    value.and_then(|value| u32::try_from(value).ok()).unwrap_or(0)
}

fn group_facts(group: &AutoScalingGroup) -> GroupFacts {
    let mixed = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
    let overrides = mixed.map(|template| template.overrides()).unwrap_or_default();
    let types = overrides.iter().filter_map(|it| it.instance_type()).map(str::to_owned);
    let processes = group.suspended_processes().iter().filter_map(|it| it.process_name());
    let subnets = group.vpc_zone_identifier().unwrap_or_default();
    let words = |text: &str| {
        text.split(',').map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect()
    };
    GroupFacts {
        arn: group.auto_scaling_group_arn().unwrap_or_default().to_owned(),
        min: size(group.min_size()),
        max: size(group.max_size()),
        protects_new: group.new_instances_protected_from_scale_in().unwrap_or(false),
        suspended: processes.map(str::to_owned).collect(),
        health_check: group.health_check_type().unwrap_or_default().to_owned(),
        capacity_rebalance: group.capacity_rebalance().unwrap_or(false),
        lifetime_max_secs: group.max_instance_lifetime().map(|secs| size(Some(secs))),
        launch_configuration: group
            .launch_configuration_name()
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
        warm_pool: group.warm_pool_configuration().is_some(),
        types: types.collect(),
        subnets: words(subnets),
        hooks: None,
        template: None,
    }
}

fn template_facts(version: &LaunchTemplateVersion) -> TemplateFacts {
    let data = version.launch_template_data();
    let metadata = data.and_then(|data| data.metadata_options());
    let tags = metadata.and_then(|options| options.instance_metadata_tags());
    let cpu = data.and_then(|data| data.cpu_options()).and_then(|options| {
        let (cores, threads) = (size(options.core_count()), size(options.threads_per_core()));
        (cores > 0 && threads > 0).then_some((cores, threads))
    });
    let of_template = data.map(|data| data.security_group_ids()).unwrap_or_default();
    let interfaces = data.map(|data| data.network_interfaces()).unwrap_or_default();
    let of_interfaces = interfaces.iter().flat_map(|it| it.groups());
    TemplateFacts {
        name: version.launch_template_name().unwrap_or_default().to_owned(),
        version: version.version_number().map(|it| it.to_string()).unwrap_or_default(),
        image: data.and_then(|data| data.image_id()).map(str::to_owned),
        instance_type: data.and_then(|data| data.instance_type()).map(|it| it.as_str().to_owned()),
        metadata_tags: tags.is_some_and(|tags| tags.as_str() == "enabled"),
        cpu,
        security_groups: of_template.iter().chain(of_interfaces).cloned().collect(),
    }
}

/// Reads a type; one without CPUs or memory is not known.
fn type_facts(info: &InstanceTypeInfo) -> Option<(String, TypeFacts)> {
    let name = info.instance_type()?.as_str().to_owned();
    let cpu = info.v_cpu_info()?;
    let gpus = info.gpu_info().map(|info| info.gpus()).unwrap_or_default();
    let gpu_name = gpus.first().and_then(|gpu| gpu.name());
    let facts = TypeFacts {
        vcpus: size(cpu.default_v_cpus()),
        cores: size(cpu.default_cores()),
        threads: size(cpu.default_threads_per_core()),
        memory_mib: u64::try_from(info.memory_info()?.size_in_mib()?).ok()?,
        gpus: gpus.iter().map(|gpu| size(gpu.count())).fold(0, u32::saturating_add),
        gpu_name: gpu_name.map(|name| name.to_lowercase().replace(' ', "")),
    };
    (facts.vcpus > 0).then_some((name, facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{
        GpuDeviceInfo, GpuInfo, InstanceType, MemoryInfo, ResponseLaunchTemplateData, VCpuInfo,
    };

    #[test]
    fn an_instance_type_is_read_and_one_without_cpus_is_not_known() {
        let cpu = VCpuInfo::builder().default_v_cpus(4).default_cores(2);
        let memory = MemoryInfo::builder().size_in_mib(16_384).build();
        let info = InstanceTypeInfo::builder().instance_type(InstanceType::from("g4dn.xlarge"));
        let info = info.memory_info(memory);
        assert_eq!(type_facts(&info.clone().build()), None);
        let gpu = GpuDeviceInfo::builder().name("T4").count(1).build();
        let info = info.v_cpu_info(cpu.default_threads_per_core(2).build());
        let info = info.gpu_info(GpuInfo::builder().gpus(gpu).build()).build();
        let expected = TypeFacts {
            vcpus: 4,
            cores: 2,
            threads: 2,
            memory_mib: 16_384,
            gpus: 1,
            gpu_name: Some("t4".to_owned()),
        };
        assert_eq!(type_facts(&info), Some(("g4dn.xlarge".to_owned(), expected)));
    }

    #[test]
    fn a_template_without_data_is_read_too() {
        let version = LaunchTemplateVersion::builder().launch_template_name("t").version_number(3);
        let facts = template_facts(&version.clone().build());
        assert_eq!((facts.name.as_str(), facts.version.as_str()), ("t", "3"));
        assert_eq!((facts.metadata_tags, facts.instance_type), (false, None));
        let data = ResponseLaunchTemplateData::builder().image_id("ami-1").build();
        let facts = template_facts(&version.launch_template_data(data).build());
        assert_eq!(facts.image.as_deref(), Some("ami-1"));
    }
}
