//! Why Slurm says that a job is pending: its `state_reason` numbers and their names.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::words::NumberOrWord;

/// `state_reason` (`enum job_state_reason`, slurm.h). Numbers keep their meaning from release to
/// release; new ones come at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason(pub u32);

impl Reason {
    /// None: not evaluated yet.
    pub const NONE: Self = Self(0);
    /// Priority: jobs before it wait.
    pub const PRIORITY: Self = Self(1);
    /// Resources: it waits for nodes.
    pub const RESOURCES: Self = Self(3);
    /// BeginTime: `--begin`, or the pause after it was requeued.
    pub const BEGIN_TIME: Self = Self(9);
    /// Reservation: it waits for its reservation.
    pub const RESERVATION: Self = Self(14);
    /// ReqNodeNotAvail: nodes that it needs are down, drained or reserved.
    pub const NODE_NOT_AVAIL: Self = Self(15);
    /// JobArrayTaskLimit: as many tasks of the array run as may.
    pub const ARRAY_TASK_LIMIT: Self = Self(72);

    /// Whether it says something of the job's partition: its limits of nodes and time, that it is
    /// down or inactive.
    #[must_use]
    pub const fn is_of_partition(self) -> bool {
        matches!(self.0, 4..=7)
    }

    /// Slurm's name; `None` if the number is of a release that is not known.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.get(usize::try_from(self.0).ok()?).copied()
    }

    /// The reason with this name, in upper or lower case.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let at = NAMES.iter().position(|it| it.eq_ignore_ascii_case(name))?;
        u32::try_from(at).ok().map(Self)
    }
}

/// As squeue writes it: `Resources`; a number that has no name as the number.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "reason {}", self.0),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.name() {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_u32(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(NumberOrWord {
                expected: "one of Slurm's reasons, as `Resources`, or its number",
                of_word: |word| Self::of_name(word).map(|reason| reason.0),
            })
            .map(Self)
    }
}

/// The names in the order of the numbers (src/common/slurm_protocol_defs.c of 22.05.8; from 199
/// on src/common/job_state_reason.c of 26.05.3).
const NAMES: [&str; 221] = [
    "None",
    "Priority",
    "Dependency",
    "Resources",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "PartitionDown",
    "PartitionInactive",
    "JobHeldAdmin",
    "BeginTime",
    "Licenses",
    "AssociationJobLimit",
    "AssociationResourceLimit",
    "AssociationTimeLimit",
    "Reservation",
    "ReqNodeNotAvail",
    "JobHeldUser",
    "FrontEndDown",
    "SchedDefer",
    "PartitionDown",
    "NodeDown",
    "BadConstraints",
    "SystemFailure",
    "JobLaunchFailure",
    "NonZeroExitCode",
    "TimeLimit",
    "InactiveLimit",
    "InvalidAccount",
    "InvalidQOS",
    "QOSUsageThreshold",
    "QOSJobLimit",
    "QOSResourceLimit",
    "QOSTimeLimit",
    "BlockMaxError",
    "BlockFreeAction",
    "Cleaning",
    "Prolog",
    "QOSNotAllowed",
    "AccountNotAllowed",
    "DependencyNeverSatisfied",
    "QOSGrpCpuLimit",
    "QOSGrpCPUMinutesLimit",
    "QOSGrpCPURunMinutesLimit",
    "QOSGrpJobsLimit",
    "QOSGrpMemLimit",
    "QOSGrpNodeLimit",
    "QOSGrpSubmitJobsLimit",
    "QOSGrpWallLimit",
    "QOSMaxCpuPerJobLimit",
    "QOSMaxCpuMinutesPerJobLimit",
    "QOSMaxNodePerJobLimit",
    "QOSMaxWallDurationPerJobLimit",
    "QOSMaxCpuPerUserLimit",
    "QOSMaxJobsPerUserLimit",
    "QOSMaxNodePerUserLimit",
    "QOSMaxSubmitJobPerUserLimit",
    "QOSMinCpuNotSatisfied",
    "AssocGrpCpuLimit",
    "AssocGrpCPUMinutesLimit",
    "AssocGrpCPURunMinutesLimit",
    "AssocGrpJobsLimit",
    "AssocGrpMemLimit",
    "AssocGrpNodeLimit",
    "AssocGrpSubmitJobsLimit",
    "AssocGrpWallLimit",
    "AssocMaxJobsLimit",
    "AssocMaxCpuPerJobLimit",
    "AssocMaxCpuMinutesPerJobLimit",
    "AssocMaxNodePerJobLimit",
    "AssocMaxWallDurationPerJobLimit",
    "AssocMaxSubmitJobLimit",
    "JobHoldMaxRequeue",
    "JobArrayTaskLimit",
    "BurstBufferResources",
    "BurstBufferStageIn",
    "BurstBufferOperation",
    "PowerNotAvail",
    "PowerReserved",
    "AssocGrpUnknown",
    "AssocGrpUnknownMinutes",
    "AssocGrpUnknownRunMinutes",
    "AssocMaxUnknownPerJob",
    "AssocMaxUnknownPerNode",
    "AssocMaxUnknownMinutesPerJob",
    "AssocMaxCpuPerNode",
    "AssocGrpMemMinutes",
    "AssocGrpMemRunMinutes",
    "AssocMaxMemPerJob",
    "AssocMaxMemPerNode",
    "AssocMaxMemMinutesPerJob",
    "AssocGrpNodeMinutes",
    "AssocGrpNodeRunMinutes",
    "AssocMaxNodeMinutesPerJob",
    "AssocGrpEnergy",
    "AssocGrpEnergyMinutes",
    "AssocGrpEnergyRunMinutes",
    "AssocMaxEnergyPerJob",
    "AssocMaxEnergyPerNode",
    "AssocMaxEnergyMinutesPerJob",
    "AssocGrpGRES",
    "AssocGrpGRESMinutes",
    "AssocGrpGRESRunMinutes",
    "AssocMaxGRESPerJob",
    "AssocMaxGRESPerNode",
    "AssocMaxGRESMinutesPerJob",
    "AssocGrpLicense",
    "AssocGrpLicenseMinutes",
    "AssocGrpLicenseRunMinutes",
    "AssocMaxLicensePerJob",
    "AssocMaxLicenseMinutesPerJob",
    "AssocGrpBB",
    "AssocGrpBBMinutes",
    "AssocGrpBBRunMinutes",
    "AssocMaxBBPerJob",
    "AssocMaxBBPerNode",
    "AssocMaxBBMinutesPerJob",
    "QOSGrpUnknown",
    "QOSGrpUnknownMinutes",
    "QOSGrpUnknownRunMinutes",
    "QOSMaxUnknownPerJob",
    "QOSMaxUnknownPerNode",
    "QOSMaxUnknownPerUser",
    "QOSMaxUnknownMinutesPerJob",
    "QOSMinUnknown",
    "QOSMaxCpuPerNode",
    "QOSGrpMemoryMinutes",
    "QOSGrpMemoryRunMinutes",
    "QOSMaxMemoryMinutesPerJob",
    "QOSMaxMemoryPerJob",
    "QOSMaxMemoryPerNode",
    "QOSMaxMemoryPerUser",
    "QOSMinMemory",
    "QOSGrpEnergy",
    "QOSGrpEnergyMinutes",
    "QOSGrpEnergyRunMinutes",
    "QOSMaxEnergyPerJob",
    "QOSMaxEnergyPerNode",
    "QOSMaxEnergyPerUser",
    "QOSMaxEnergyMinutesPerJob",
    "QOSMinEnergy",
    "QOSGrpNodeMinutes",
    "QOSGrpNodeRunMinutes",
    "QOSMaxNodeMinutesPerJob",
    "QOSMinNode",
    "QOSGrpGRES",
    "QOSGrpGRESMinutes",
    "QOSGrpGRESRunMinutes",
    "QOSMaxGRESPerJob",
    "QOSMaxGRESPerNode",
    "QOSMaxGRESPerUser",
    "QOSMaxGRESMinutesPerJob",
    "QOSMinGRES",
    "QOSGrpLicense",
    "QOSGrpLicenseMinutes",
    "QOSGrpLicenseRunMinutes",
    "QOSMaxLicensePerJob",
    "QOSMaxLicensePerUser",
    "QOSMaxLicenseMinutesPerJob",
    "QOSMinLicense",
    "QOSGrpBB",
    "QOSGrpBBMinutes",
    "QOSGrpBBRunMinutes",
    "QOSMaxBBPerJob",
    "QOSMaxBBPerNode",
    "QOSMaxBBPerUser",
    "AssocMaxBBMinutesPerJob",
    "QOSMinBB",
    "DeadLine",
    "MaxBBPerAccount",
    "MaxCpuPerAccount",
    "MaxEnergyPerAccount",
    "MaxGRESPerAccount",
    "MaxNodePerAccount",
    "MaxLicensePerAccount",
    "MaxMemoryPerAccount",
    "MaxUnknownPerAccount",
    "MaxJobsPerAccount",
    "MaxSubmitJobsPerAccount",
    "PartitionConfig",
    "AccountingPolicy",
    "FedJobLock",
    "OutOfMemory",
    "MaxMemPerLimit",
    "AssocGrpBilling",
    "AssocGrpBillingMinutes",
    "AssocGrpBillingRunMinutes",
    "AssocMaxBillingPerJob",
    "AssocMaxBillingPerNode",
    "AssocMaxBillingMinutesPerJob",
    "QOSGrpBilling",
    "QOSGrpBillingMinutes",
    "QOSGrpBillingRunMinutes",
    "QOSMaxBillingPerJob",
    "QOSMaxBillingPerNode",
    "QOSMaxBillingPerUser",
    "QOSMaxBillingMinutesPerJob",
    "MaxBillingPerAccount",
    "QOSMinBilling",
    "ReservationDeleted",
    "ReservationInvalid",
    "Constraints",
    "MaxBBRunMinsPerAccount",
    "MaxBillingRunMinsPerAccount",
    "MaxCpuRunMinsPerAccount",
    "MaxEnergyRunMinsPerAccount",
    "MaxGRESRunMinsPerAccount",
    "MaxNodeRunMinsPerAccount",
    "MaxLicenseRunMinsPerAccount",
    "MaxMemoryRunMinsPerAccount",
    "MaxUnknownRunMinsPerAccount",
    "MaxBBRunMinsPerUser",
    "MaxBillingRunMinsPerUser",
    "MaxCpuRunMinsPerUser",
    "MaxEnergyRunMinsPerUser",
    "MaxGRESRunMinsPerUser",
    "MaxNodeRunMinsPerUser",
    "MaxLicenseRunMinsPerUser",
    "MaxMemoryRunMinsPerUser",
    "MaxUnknownRunMinsPerUser",
    "MaxPoweredUpNodes",
    "MpiPortsBusy",
];

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn reasons_have_slurm_s_names_and_numbers() {
        let table = [
            (0, "None"),
            (3, "Resources"),
            (9, "BeginTime"),
            (21, "BadConstraints"),
            (39, "DependencyNeverSatisfied"),
            (72, "JobArrayTaskLimit"),
            (179, "AccountingPolicy"),
            (219, "MaxPoweredUpNodes"),
        ];
        for (number, name) in table {
            assert_eq!(Reason(number).name(), Some(name));
            assert_eq!(Reason::of_name(&name.to_lowercase()), Some(Reason(number)));
        }
        assert_eq!(Reason(4000).to_string(), "reason 4000");
    }

    #[test]
    fn a_reason_is_read_by_name_or_number_and_written_by_name() {
        let read = |text| serde_json::from_str::<Reason>(text);
        assert_eq!(read("\"Resources\"").unwrap(), Reason::RESOURCES);
        assert_eq!(read("3").unwrap(), Reason::RESOURCES);
        assert_eq!(read("4000").unwrap(), Reason(4000));
        assert_eq!(serde_json::to_string(&Reason::RESOURCES).unwrap(), "\"Resources\"");
        let error = read("\"Resorces\"").unwrap_err().to_string();
        assert!(error.contains("`Resorces`") && error.contains("Slurm's reasons"), "{error}");
        assert!(read("-1").is_err() && read("1.5").is_err() && read("null").is_err());
    }
}
