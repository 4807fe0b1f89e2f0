//! Instance types and launch templates, as far as a few are known. Each group has a template of its own,
//! by the group's name.

use crate::config::GroupConfig;
use crate::ec2::NAMESPACE;
use crate::error::ApiError;
use crate::query::Params;
use crate::world::World;
use crate::xml::{Xml, ec2_answer};

/// Name, vCPUs, cores, threads of each, MiB, GPUs (EC2's instance types page).
const TYPES: [(&str, u32, u32, u32, u64, u32); 5] = [
    ("t3.micro", 2, 1, 2, 1024, 0),
    ("c5.large", 2, 1, 2, 4096, 0),
    ("c5.xlarge", 4, 2, 2, 8192, 0),
    ("g4dn.xlarge", 4, 2, 2, 16_384, 1),
    ("g4dn.12xlarge", 48, 24, 2, 196_608, 4),
];
/// The version that every template has.
pub const TEMPLATE_VERSION: &str = "1";

/// The id of a group's launch template: the same for the same name.
#[must_use]
pub fn template_id(group: &str) -> String {
    // FNV-1a, as ids of AWS look like random numbers.
    let hash = group.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("lt-0{hash:016x}")
}

/// DescribeInstanceTypes, by ids or by the filter `instance-type`.
pub fn describe_types(world: &mut World, params: &Params) -> String {
    let ids = params.list("InstanceType");
    let filters = params.filters("Filter", "Value");
    let chosen: Vec<_> = TYPES
        .iter()
        .filter(|(name, ..)| ids.is_empty() || ids.contains(name))
        .filter(|(name, ..)| {
            filters.iter().all(|(key, values)| *key != "instance-type" || values.contains(name))
        })
        .collect();
    ec2_answer(NAMESPACE, "DescribeInstanceTypes", &world.fresh_id(), |xml| {
        xml.list(
            "instanceTypeSet",
            "item",
            chosen,
            |xml, (name, vcpus, cores, threads, memory, gpus)| {
                xml.leaf("instanceType", name);
                xml.node("vCpuInfo", |xml| {
                    xml.leaf("defaultVCpus", vcpus).leaf("defaultCores", cores);
                    xml.leaf("defaultThreadsPerCore", threads);
                });
                xml.node("memoryInfo", |xml| {
                    xml.leaf("sizeInMiB", memory);
                });
                if *gpus > 0 {
                    xml.node("gpuInfo", |xml| {
                        xml.list("gpus", "item", [gpus], |xml, gpus| {
                            xml.leaf("name", "T4")
                                .leaf("manufacturer", "NVIDIA")
                                .leaf("count", gpus);
                        });
                    });
                }
            },
        );
    })
}

/// DescribeLaunchTemplateVersions of one template.
pub fn describe_template(world: &mut World, params: &Params) -> Result<String, ApiError> {
    let (id, name) = (params.get("LaunchTemplateId"), params.get("LaunchTemplateName"));
    let is_it = |group: &&GroupConfig| {
        id.map_or(name == Some(&group.name), |id| id == template_id(&group.name))
    };
    let group = world.config().group.iter().find(is_it).cloned().ok_or_else(|| {
        let text = "At least one of the launch templates specified in the request does not exist.";
        ApiError::new(400, "InvalidLaunchTemplateId.NotFound", text)
    })?;
    for version in params.list("LaunchTemplateVersion") {
        if ![TEMPLATE_VERSION, "$Default", "$Latest"].contains(&version) {
            let text = format!("Could not find launch template version {version}.");
            return Err(ApiError::new(400, "InvalidLaunchTemplateId.VersionNotFound", text));
        }
    }
    Ok(ec2_answer(NAMESPACE, "DescribeLaunchTemplateVersions", &world.fresh_id(), |xml| {
        xml.list("launchTemplateVersionSet", "item", [&group], template_xml);
    }))
}

fn template_xml(xml: &mut Xml, group: &GroupConfig) {
    xml.leaf("launchTemplateId", template_id(&group.name));
    xml.leaf("launchTemplateName", &group.name);
    xml.leaf("versionNumber", TEMPLATE_VERSION).leaf("defaultVersion", true);
    xml.node("launchTemplateData", |xml| {
        xml.leaf("imageId", "ami-00000000000000001").leaf("instanceType", &group.instance_type);
        xml.node("metadataOptions", |xml| {
            let tags = if group.metadata_tags { "enabled" } else { "disabled" };
            xml.leaf("httpEndpoint", "enabled").leaf("instanceMetadataTags", tags);
        });
        xml.texts("securityGroupIdSet", "item", ["sg-00000000000000001"]);
    });
}
