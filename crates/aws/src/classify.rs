//! The one place that knows AWS's error codes and messages, and says in one line what to do.
//!
//! Codes are from the API references of EC2 ("Error codes") and EC2 Auto Scaling ("Common errors"),
//! messages from answers seen in public threads. What is not known is `Other`, never success.
//! No type of the SDK comes in here: `make fuzz` compiles this module without it.

use std::collections::BTreeSet;

use slurm_asg_core::ids::InstanceId;
use slurm_asg_core::snapshot::FailureKind;
use slurm_asg_engine::{CloudError, CloudErrorKind};

/// Characters of a message: EC2 appends kilobytes of encoded explanation to a denial.
const MESSAGE_CHARS_MAX: usize = 400;

/// A code, as EC2 has them in the words of an activity; the longest known have about 50 letters.
const CODE_BYTES_MAX: usize = 80;
/// An Availability Zone's name: Local Zones have longer ones than `eu-west-1a`.
const ZONE_BYTES_MAX: usize = 64;

const NO_REGION: &str = "no AWS region; write region = \"eu-west-1\" in asg.toml or set AWS_REGION";
const NO_CREDENTIALS: &str = "no AWS credentials; give the controller's instance an IAM role, or \
    slurmctld AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

/// A call that failed: what the loop is told, and what this crate has to tell apart itself.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What the loop is told.
    pub error: CloudError,
    code: String,
    words: String,
    /// The answer's HTTP status; 0 if there was none.
    status: u16,
}

impl Failure {
    /// What AWS answered.
    pub fn from_answer(operation: &'static str, status: u16, code: &str, words: &str) -> Self {
        let code = &one_line(code);
        let kind = kind(code, words, status);
        let mut message = match (code.as_str(), words) {
            ("", _) => format!("HTTP status {status} without an AWS error code"),
            // Its words repeat the signed request with the session token.
            ("SignatureDoesNotMatch", _) => code.to_owned(),
            (code, "") => code.to_owned(),
            (code, words) => format!("{code}: {}", one_line(words)),
        };
        if let Some(advice) = advice(operation, code, kind) {
            message = format!("{}; {advice}", message.trim_end_matches('.'));
        }
        let error = CloudError { operation, kind, message };
        Self { error, code: code.clone(), words: words.to_owned(), status }
    }

    /// Nothing came back from this endpoint, or nothing that says whether the call was carried out.
    pub fn without_answer(operation: &'static str, endpoint: &str, why: &str) -> Self {
        let message = format!(
            "{} did not answer: {}; check the network, AWS_ENDPOINT_URL and the VPC's endpoints",
            one_line(endpoint),
            one_line(why),
        );
        Self::local(operation, CloudErrorKind::NoAnswer, message)
    }

    /// The request did not get out to this endpoint. Only the causes' texts tell why: the SDK boxes
    /// their types.
    pub fn from_chain(operation: &'static str, endpoint: &str, chain: &[String]) -> Self {
        let says = |needle: &str| chain.iter().any(|cause| cause.to_lowercase().contains(needle));
        // The latter where an endpoint is set.
        if says("missing region") || says("missing signing region") {
            return Self::local(operation, CloudErrorKind::Denied, NO_REGION.to_owned());
        }
        if says("credential") || says("no identity") || says("auth scheme") {
            // All places were looked in and none had any: the list of them is no help.
            if says("no credentials found in chain") {
                return Self::local(operation, CloudErrorKind::Denied, NO_CREDENTIALS.to_owned());
            }
            // The outermost words are "dispatch failure": the last causes say it.
            let last = chain.get(chain.len().saturating_sub(2)..).unwrap_or_default().join(": ");
            let message = format!("{NO_CREDENTIALS} ({})", one_line(&last));
            // Instance metadata or the token service is slow: that passes.
            let slow = says("timed out") || says("timeout");
            let kind = if slow { CloudErrorKind::NoAnswer } else { CloudErrorKind::Denied };
            return Self::local(operation, kind, message);
        }
        Self::without_answer(operation, endpoint, &connection_trouble(chain))
    }

    fn local(operation: &'static str, kind: CloudErrorKind, message: String) -> Self {
        let error = CloudError { operation, kind, message };
        Self { error, code: String::new(), words: String::new(), status: 0 }
    }

    /// The server failed without one of AWS's codes: nothing says what it did. AWS itself always
    /// gives a code; a proxy does not, nor does a server that crashed on the request.
    pub fn is_nameless(&self) -> bool {
        self.status >= 500 && self.code.is_empty()
    }

    /// TerminateInstanceInAutoScalingGroup of an instance that its group has no more.
    pub fn is_gone(&self) -> bool {
        self.code == "ValidationError"
            && (self.words.contains("Instance Id not found")
                || self.words.contains("No managed instance found"))
    }

    /// A life-cycle hook that holds the instance no more: completed, run out, or never begun.
    pub fn is_no_longer_held(&self) -> bool {
        self.code == "ValidationError" && self.words.contains("No active Lifecycle Action found")
    }

    /// The request does not fit one of its instances, or is wrong.
    pub fn is_invalid_or_conflict(&self) -> bool {
        self.is_gone() || self.is_invalid() || self.error.kind == CloudErrorKind::Conflict
    }

    /// The endpoint does not have the operation, the group cannot have it, or the rights do not
    /// suffice: another way is to be taken.
    pub fn is_unsupported(&self) -> bool {
        let unknown = ["InvalidAction", "UnknownOperationException", "NotImplemented"];
        let denied = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"];
        let code = self.code.as_str();
        let is_unknown = self.status == 501 || self.is_nameless() || unknown.contains(&code);
        is_unknown || denied.contains(&code) || self.is_invalid()
    }

    /// AWS still works on the same request (IdempotentCallInProgress).
    pub fn is_in_progress(&self) -> bool {
        self.code == "IdempotentCallInProgress"
    }

    /// The request as such was refused, not the state of the group.
    pub fn is_invalid(&self) -> bool {
        self.code == "ValidationError" && self.error.kind == CloudErrorKind::Other
    }

    /// The endpoint does not know InstanceIds: it misses InstanceId, or says so.
    pub fn is_batch_unknown(&self) -> bool {
        let words = self.words.to_lowercase();
        match self.code.as_str() {
            "UnknownParameter" => words.contains("instanceids"),
            "ValidationError" | "MissingParameter" => {
                let about_one = words.replace("instanceids", "").contains("instanceid");
                let missing = ["null", "missing", "required", "must contain the parameter"];
                about_one && missing.iter().any(|word| words.contains(word))
            }
            _ => false,
        }
    }

    /// EC2 would have carried out what was only tried (EC2 error codes).
    pub fn is_dry_run(&self) -> bool {
        is_dry_run(&self.code)
    }

    /// EC2 does not know a launch template, or its version.
    pub fn is_unknown_template(&self) -> bool {
        self.code.starts_with("InvalidLaunchTemplate") && self.code.contains("NotFound")
    }

    /// EC2 does not know an instance id, or cannot read it, and names it.
    pub fn is_unknown_instance(&self) -> bool {
        matches!(self.code.as_str(), "InvalidInstanceID.NotFound" | "InvalidInstanceID.Malformed")
    }

    /// Which of these ids the message names.
    pub fn named(&self, ids: &BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
        named_in(&self.words, ids)
    }
}

/// Which of these ids stand in a text, as words of their own.
pub fn named_in(text: &str, ids: &BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.map(InstanceId::new).filter(|word| ids.contains(word)).collect()
}

/// A call whose task ended before it did.
pub fn cut_short(operation: &'static str) -> CloudError {
    let message = "the call was cut short, tried again later".to_owned();
    CloudError { operation, kind: CloudErrorKind::NoAnswer, message }
}

/// A call that was not begun, as the calls before it took their time.
pub fn not_sent(operation: &'static str) -> CloudError {
    let message = "not sent yet, calls before it took their time".to_owned();
    CloudError { operation, kind: CloudErrorKind::NotSent, message }
}

/// An answer, or a request, that makes no sense.
pub fn odd_answer(operation: &'static str, what: &str) -> CloudError {
    CloudError { operation, kind: CloudErrorKind::Other, message: one_line(what) }
}

/// The code of a dry run that would be carried out (EC2 error codes).
pub fn is_dry_run(code: &str) -> bool {
    code == "DryRunOperation"
}

/// What kind of failure a code, its words and the HTTP status stand for.
pub fn kind(code: &str, words: &str, status: u16) -> CloudErrorKind {
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "PriorRequestNotComplete" => CloudErrorKind::Throttled,
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthFailure"
        | "Blocked"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "KMS.AccessDeniedException"
        | "KmsAccessDenied"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "OptInRequired"
        | "PendingVerification"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnauthorizedOperation"
        | "UnrecognizedClientException" => CloudErrorKind::Denied,
        "ResourceContention"
        | "ResourceContentionFault"
        | "ResourceInUse"
        | "ScalingActivityInProgress"
        | "IncorrectInstanceState"
        | "IncorrectState"
        | "InvalidInstanceID.NotFound" => CloudErrorKind::Conflict,
        "ValidationError" if is_about_state(words) => CloudErrorKind::Conflict,
        "InternalError" | "InternalFailure" | "ServiceUnavailable" | "Unavailable" => {
            CloudErrorKind::Service
        }
        _ if status == 429 => CloudErrorKind::Throttled,
        _ if status == 401 || status == 403 => CloudErrorKind::Denied,
        _ if status >= 500 => CloudErrorKind::Service,
        _ => CloudErrorKind::Other,
    }
}

/// Auto Scaling's ValidationError stands for everything. These words mean: not as the group is now.
fn is_about_state(words: &str) -> bool {
    [
        "is above max value",
        "is below min value",
        "desiredSize equals minSize",
        "violate group's min size constraint",
        "must be greater than or equal to min bound",
        "must be between the specified min size",
        "name not found",
        "Instance Id not found",
        "is not part of Auto Scaling group",
        "is not in InService",
        "is not in correct state",
        "is pending delete",
    ]
    .iter()
    .any(|known| words.contains(known))
}

/// What to do, where AWS's own words do not say it.
fn advice(operation: &'static str, code: &str, kind: CloudErrorKind) -> Option<String> {
    match code {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "SignatureDoesNotMatch" => {
            return Some("renew the credentials and check the controller's clock".to_owned());
        }
        "InvalidClientTokenId" | "AuthFailure" | "UnrecognizedClientException" => {
            return Some("check the credentials, and that the region is enabled".to_owned());
        }
        // SQS has two names for each: of its older protocol and of the newer.
        "AWS.SimpleQueueService.NonExistentQueue" | "QueueDoesNotExist" | "InvalidAddress" => {
            return Some(
                "correct events_queue or region in asg.toml, or create the queue \
                 (packaging/cloudformation/events.json)"
                    .to_owned(),
            );
        }
        _ => {}
    }
    match kind {
        CloudErrorKind::Denied => {
            let service = match operation {
                "DescribeInstances" | "CreateTags" => "ec2",
                "PutMetricData" => "cloudwatch",
                "ReceiveMessage" | "DeleteMessage" => "sqs",
                _ => "autoscaling",
            };
            Some(format!("allow {service}:{operation} in the controller's IAM policy"))
        }
        CloudErrorKind::Throttled => {
            Some("too many API calls in this account and region, tried again later".to_owned())
        }
        CloudErrorKind::NoAnswer
        | CloudErrorKind::Service
        | CloudErrorKind::Conflict
        | CloudErrorKind::Unsupported
        | CloudErrorKind::NotSent
        | CloudErrorKind::Other => None,
    }
}

/// Why there is no connection: the last cause, e.g. `Connection refused (os error 111)`; the ones
/// before it are the SDK's layers.
fn connection_trouble(chain: &[String]) -> String {
    let lookup = chain.iter().find(|cause| cause.contains("failed to lookup address"));
    lookup.or(chain.last()).cloned().unwrap_or_else(|| "no connection".to_owned())
}

/// The Availability Zone in an activity's Details, which are JSON.
pub fn zone(details: &str) -> String {
    let after = details.split_once("\"Availability Zone\":").map_or("", |(_, after)| after);
    let quoted = after.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
    let is_zone = |zone: &&str| {
        zone.len() <= ZONE_BYTES_MAX && zone.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    quoted.map(|(zone, _)| zone).filter(is_zone).unwrap_or_default().to_owned()
}

/// EC2's code in the words of an activity: `Could not launch On-Demand Instances.
/// InsufficientInstanceCapacity - We currently do not have …` (seen in public threads).
pub fn code_and_kind(words: &str) -> (String, FailureKind) {
    let known = [
        ("InsufficientInstanceCapacity", FailureKind::Capacity),
        ("InsufficientHostCapacity", FailureKind::Capacity),
        ("InsufficientReservedInstanceCapacity", FailureKind::Capacity),
        ("InsufficientCapacity", FailureKind::Capacity),
        ("UnfulfillableCapacity", FailureKind::Capacity),
        ("ReservationCapacityExceeded", FailureKind::Capacity),
        ("SpotMaxPriceTooLow", FailureKind::Capacity),
        ("VcpuLimitExceeded", FailureKind::Limit),
        ("InstanceLimitExceeded", FailureKind::Limit),
        ("MaxSpotInstanceCountExceeded", FailureKind::Limit),
        ("InsufficientFreeAddressesInSubnet", FailureKind::Limit),
        ("VolumeLimitExceeded", FailureKind::Limit),
        ("InsufficientVolumeCapacity", FailureKind::Capacity),
        ("UnauthorizedOperation", FailureKind::Denied),
        ("AccessDenied", FailureKind::Denied),
    ];
    if let Some((code, kind)) = known.iter().find(|(code, _)| words.contains(code)) {
        return ((*code).to_owned(), *kind);
    }
    let says = |part: &str| words.to_ascii_lowercase().contains(part);
    if says("max spot instance count exceeded") {
        return ("MaxSpotInstanceCountExceeded".to_owned(), FailureKind::Limit);
    }
    if says("not authorized") {
        return ("UnauthorizedOperation".to_owned(), FailureKind::Denied);
    }
    if says("sufficient") && says("capacity") {
        return ("InsufficientInstanceCapacity".to_owned(), FailureKind::Capacity);
    }
    let is_code = |word: &&str| {
        (9..=CODE_BYTES_MAX).contains(&word.len())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
            && word.chars().skip(1).any(|c| c.is_ascii_uppercase())
    };
    let before_dash = words.split(" - ").next().unwrap_or_default();
    let code = before_dash.split_whitespace().next_back().filter(is_code);
    (code.unwrap_or("LaunchFailed").to_owned(), FailureKind::Other)
}

/// Words of AWS in one line of limited length.
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    // EC2's encoded explanation is of use to DecodeAuthorizationMessage only.
    if let Some((start, _)) = line.split_once("Encoded authorization failure message") {
        line = start.trim_end().to_owned();
    }
    if line.chars().count() > MESSAGE_CHARS_MAX {
        line = line.chars().take(MESSAGE_CHARS_MAX).chain(['…']).collect();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use CloudErrorKind::{Conflict, Denied, Other, Service, Throttled};

    fn answer(status: u16, code: &str, words: &str) -> Failure {
        Failure::from_answer("TerminateInstanceInAutoScalingGroup", status, code, words)
    }

    const ABOVE_MAX: &str =
        "New SetDesiredCapacity value 3 is above max value 2 for the AutoScalingGroup.";
    const AT_MIN: &str = "Currently, desiredSize equals minSize (1). Terminating instance without \
        replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity \
        flag to false or lower group's min size.";
    const BELOW_MIN: &str = "Max bound, 1, must be greater than or equal to min bound, 2";
    const GONE: &str = "Instance Id not found - No managed instance found for instance ID: i-0abc";
    const NULL_ID: &str = "1 validation error detected: Value null at 'instanceId' failed to \
        satisfy constraint: Member must not be null";
    const BAD_IDS: &str = "1 validation error detected: Value '[]' at 'instanceIds' failed to \
        satisfy constraint: Member must have length greater than or equal to 1; it is required";

    #[test]
    fn codes_and_messages_have_a_kind() {
        for (status, code, words, expected) in [
            (400, "Throttling", "Rate exceeded", Throttled),
            (503, "RequestLimitExceeded", "Request limit exceeded.", Throttled),
            (429, "", "", Throttled),
            (403, "AccessDenied", "User: x is not authorized to perform: y", Denied),
            (403, "UnauthorizedOperation", "You are not authorized", Denied),
            (403, "SomethingNew", "", Denied),
            (400, "ExpiredToken", "The security token is expired", Denied),
            (400, "ValidationError", ABOVE_MAX, Conflict),
            (400, "ValidationError", AT_MIN, Conflict),
            (400, "ValidationError", BELOW_MIN, Conflict),
            (400, "ValidationError", GONE, Conflict),
            (400, "ValidationError", "AutoScalingGroup name not found - null", Conflict),
            (400, "ValidationError", NULL_ID, Other),
            (400, "ScalingActivityInProgress", "busy", Conflict),
            (500, "ResourceContention", "You already have a pending update", Conflict),
            (400, "InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist", Conflict),
            (500, "InternalFailure", "", Service),
            (503, "Unavailable", "try again", Service),
            (500, "", "", Service),
            (400, "InvalidAction", "Could not find operation", Other),
        ] {
            assert_eq!(answer(status, code, words).error.kind, expected, "{status} {code} {words}");
        }
    }

    #[test]
    fn what_terminate_must_tell_apart_is_told_apart() {
        let facts = |status, code, words| {
            let failure = answer(status, code, words);
            let (gone, unknown) = (failure.is_gone(), failure.is_batch_unknown());
            (gone, unknown, failure.is_invalid(), failure.is_nameless())
        };
        for (status, code, words, expected) in [
            (400, "ValidationError", GONE, (true, false, false, false)),
            (400, "ValidationError", NULL_ID, (false, true, true, false)),
            (400, "ValidationError", BAD_IDS, (false, false, true, false)),
            (400, "ValidationError", AT_MIN, (false, false, false, false)),
            (400, "ValidationError", "Invalid instance i-0abc", (false, false, true, false)),
            (
                400,
                "MissingParameter",
                "The request must contain the parameter InstanceId",
                (false, true, false, false),
            ),
            (
                400,
                "UnknownParameter",
                "The parameter InstanceIds.member.1 is not recognized",
                (false, true, false, false),
            ),
            (500, "", "", (false, false, false, true)),
            (503, "ServiceUnavailable", "", (false, false, false, false)),
        ] {
            assert_eq!(facts(status, code, words), expected, "{code} {words}");
        }
    }

    #[test]
    fn only_ids_that_were_asked_for_are_taken_out_of_a_message() {
        let asked: BTreeSet<InstanceId> = ["i-01", "i-012", "i-9"].map(InstanceId::new).into();
        for (words, expected) in [
            ("The instance ID 'i-01' does not exist", "i-01"),
            ("The instance IDs 'i-012, i-7, i-01' do not exist", "i-01 i-012"),
            ("Invalid id: \"i-9\"", "i-9"),
            ("No managed instance found for instance ID: i-9.", "i-9"),
            ("nothing", ""),
        ] {
            let named = answer(400, "InvalidInstanceID.NotFound", words).named(&asked);
            let named: Vec<&str> = named.iter().map(InstanceId::as_str).collect();
            assert_eq!(named.join(" "), expected, "{words}");
        }
    }

    #[test]
    fn a_denial_names_the_right_that_is_missing() {
        for (operation, right) in [
            ("SetDesiredCapacity", "autoscaling:SetDesiredCapacity"),
            ("CreateTags", "ec2:CreateTags"),
            ("PutMetricData", "cloudwatch:PutMetricData"),
        ] {
            let message = Failure::from_answer(operation, 403, "AccessDenied", "").error.message;
            assert_eq!(
                message,
                format!("AccessDenied; allow {right} in the controller's IAM policy")
            );
        }
    }

    #[test]
    fn a_message_is_one_line_says_what_to_do_and_keeps_secrets() {
        for (code, words, expected) in [
            (
                "AccessDenied",
                "User: arn:x is not\n authorized.",
                "AccessDenied: User: arn:x is not authorized; allow \
                 autoscaling:TerminateInstanceInAutoScalingGroup in the controller's IAM policy",
            ),
            (
                "UnauthorizedOperation",
                "You are not authorized. Encoded authorization failure message: AAAAAA",
                "UnauthorizedOperation: You are not authorized; allow \
                 autoscaling:TerminateInstanceInAutoScalingGroup in the controller's IAM policy",
            ),
            (
                "SignatureDoesNotMatch",
                "The Canonical String is 'POST\nx-amz-security-token:SECRET'",
                "SignatureDoesNotMatch; renew the credentials and check the controller's clock",
            ),
            ("", "", "HTTP status 400 without an AWS error code"),
        ] {
            assert_eq!(answer(400, code, words).error.message, expected);
        }
        let long = answer(400, "ValidationError", &"long ".repeat(1000)).error.message;
        assert!(long.chars().count() < 450 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn messages_of_failed_launches_have_their_code_and_kind() {
        use FailureKind::{Capacity, Denied, Limit, Other};
        for (words, code, kind) in [
            (
                "Could not launch On-Demand Instances. InsufficientInstanceCapacity - We currently \
                 do not have sufficient g5.12xlarge capacity in the Availability Zone you requested \
                 (us-east-1b). Launching EC2 instance failed.",
                "InsufficientInstanceCapacity",
                Capacity,
            ),
            (
                "We currently do not have sufficient p4d.24xlarge capacity in the zones you \
                 requested. Launching EC2 instance failed.",
                "InsufficientInstanceCapacity",
                Capacity,
            ),
            (
                "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill \
                 capacity. Launching EC2 instance failed.",
                "UnfulfillableCapacity",
                Capacity,
            ),
            (
                "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more \
                 vCPU capacity than your current vCPU limit of 8 allows.",
                "VcpuLimitExceeded",
                Limit,
            ),
            (
                "Max spot instance count exceeded. Placing Spot instance request failed.",
                "MaxSpotInstanceCountExceeded",
                Limit,
            ),
            (
                "InsufficientFreeAddressesInSubnet - There are not enough free addresses in subnet \
                 'subnet-1' to satisfy the requested number of instances.",
                "InsufficientFreeAddressesInSubnet",
                Limit,
            ),
            (
                "You are not authorized to use launch template: lt-1",
                "UnauthorizedOperation",
                Denied,
            ),
            (
                "Could not launch On-Demand Instances. InvalidAMIID.NotFound - The image id does \
                 not exist.",
                "InvalidAMIID.NotFound",
                Other,
            ),
            (
                "The key pair 'x' does not exist. Launching EC2 instance failed.",
                "LaunchFailed",
                Other,
            ),
            ("", "LaunchFailed", Other),
        ] {
            assert_eq!(code_and_kind(words), (code.to_owned(), kind), "{words}");
        }
    }

    #[test]
    fn a_zone_is_read_from_an_activity_s_details() {
        let details = "{\"Subnet ID\":\"subnet-1\",\"Availability Zone\":\"eu-west-1a\"}";
        for (details, expected) in
            [(details, "eu-west-1a"), ("", ""), ("{}", ""), ("\"Availability Zone\":7", "")]
        {
            assert_eq!(zone(details), expected, "{details}");
        }
    }
}
