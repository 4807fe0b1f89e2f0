//! Requests and answers as the AWS SDK writes and reads them.

use crate::bench::{AUTOSCALING, Bench, CLOUDWATCH, EC2, GROUP, element, eventually};

#[test]
fn groups_are_described_in_the_sdks_element_names() {
    let bench = Bench::idle();
    let id = bench.one().id;
    let (status, xml) = bench.call(
        AUTOSCALING,
        &format!("DescribeAutoScalingGroups&AutoScalingGroupNames.member.1={GROUP}"),
    );
    assert_eq!(status, 200);
    assert!(xml.starts_with("<DescribeAutoScalingGroupsResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><DescribeAutoScalingGroupsResult><AutoScalingGroups><member><AutoScalingGroupName>g<"), "{xml}");
    for (tag, want) in [
        ("MinSize", "0"),
        ("MaxSize", "8"),
        ("DesiredCapacity", "1"),
        ("LifecycleState", "InService"),
        ("HealthStatus", "Healthy"),
    ] {
        assert_eq!(element(&xml, tag), Some(want), "{xml}");
    }
    assert_eq!(element(element(&xml, "Instances").unwrap(), "InstanceId"), Some(id.as_str()));
    assert!(element(&xml, "ResponseMetadata").unwrap().starts_with("<RequestId>"), "{xml}");
    let (_, xml) = bench.call(AUTOSCALING, "DescribeAutoScalingGroups&IncludeInstances=false");
    assert_eq!(element(&xml, "Instances"), Some(""));
    let (_, xml) =
        bench.call(AUTOSCALING, "DescribeAutoScalingGroups&AutoScalingGroupNames.member.1=x");
    assert_eq!(element(&xml, "AutoScalingGroups"), Some(""));
    let (_, xml) =
        bench.call(AUTOSCALING, &format!("DescribeAutoScalingInstances&InstanceIds.member.1={id}"));
    assert_eq!(
        (element(&xml, "AutoScalingGroupName"), element(&xml, "HealthStatus")),
        (Some(GROUP), Some("HEALTHY"))
    );
}

#[test]
fn refusals_have_each_protocols_shape() {
    let bench = Bench::idle();
    let check = |version, query: &str, status: u16, shape: &str, code: &str, message: &str| {
        let (got, xml) = bench.call(version, query);
        assert!(got == status && xml.starts_with(shape), "{got} {xml}");
        assert_eq!(element(&xml, "Code"), Some(code), "{xml}");
        assert!(element(&xml, "Message").unwrap().contains(message), "{xml}");
    };
    let set = format!("SetDesiredCapacity&AutoScalingGroupName={GROUP}&DesiredCapacity=9");
    let above = "New SetDesiredCapacity value 9 is above max value 8 for the AutoScalingGroup.";
    check(AUTOSCALING, &set, 400, "<ErrorResponse ", "ValidationError", above);
    check(
        AUTOSCALING,
        "SetDesiredCapacity",
        400,
        "<ErrorResponse ",
        "ValidationError",
        "at 'autoScalingGroupName' failed",
    );
    check(AUTOSCALING, "Nonsense", 400, "<ErrorResponse ", "InvalidAction", "Nonsense");
    check(EC2, "Nonsense", 400, "<Response><Errors><Error>", "InvalidAction", "Nonsense");
    let unknown = "DescribeInstances&InstanceId.1=i-01234567890abcdef";
    check(
        EC2,
        unknown,
        400,
        "<Response>",
        "InvalidInstanceID.NotFound",
        "The instance ID 'i-01234567890abcdef' does not exist",
    );
    check("1999-01-01", "X", 400, "<ErrorResponse ", "NoSuchVersion", "1999");
    let (status, xml) = bench
        .request("POST", "/", &[], "Version=2011-01-01&Action=DescribeAutoScalingGroups")
        .unwrap();
    assert_eq!((status, element(&xml, "Code")), (403, Some("MissingAuthenticationToken")));
}

#[test]
fn instances_are_described_tagged_and_terminated_over_ec2() {
    let bench = Bench::idle();
    let instance = bench.one();
    let (id, ip) = (&instance.id, instance.ip.to_string());
    let tagged = bench.call(
        EC2,
        &format!("CreateTags&ResourceId.1={id}&Tag.1.Key=slurm-asg%3Anode&Tag.1.Value=c-1"),
    );
    assert_eq!((tagged.0, element(&tagged.1, "return")), (200, Some("true")));
    for query in [
        format!("InstanceId.1={id}"),
        "Filter.1.Name=tag:slurm-asg:node&Filter.1.Value.1=c-1".into(),
    ] {
        let (_, xml) = bench.call(EC2, &format!("DescribeInstances&{query}"));
        assert!(
            xml.starts_with(
                "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
            ),
            "{xml}"
        );
        assert_eq!(
            element(&xml, "instancesSet").and_then(|set| element(set, "instanceId")),
            Some(id.as_str())
        );
        assert_eq!(element(&xml, "privateIpAddress"), Some(ip.as_str()));
        assert_eq!(element(&xml, "instanceState"), Some("<code>16</code><name>running</name>"));
        assert_eq!(element(&xml, "availabilityZone"), Some("eu-west-1a"));
        assert!(
            xml.contains("<item><key>aws:autoscaling:groupName</key><value>g</value></item>"),
            "{xml}"
        );
        assert!(xml.contains("<item><key>slurm-asg:node</key><value>c-1</value></item>"), "{xml}");
        assert_eq!(
            element(&xml, "privateDnsName"),
            Some(format!("ip-{}.eu-west-1.compute.internal", ip.replace('.', "-")).as_str())
        );
    }
    let (_, xml) = bench.call(EC2, &format!("TerminateInstances&InstanceId.1={id}"));
    assert_eq!(element(&xml, "currentState"), Some("<code>32</code><name>shutting-down</name>"));
    let (_, xml) = bench.call(EC2, &format!("DescribeInstances&InstanceId.1={id}&MaxResults=5"));
    assert_eq!(element(&xml, "Code"), Some("InvalidParameterCombination"));
    eventually("the replacement", || (bench.up(1)[0].id != *id).then_some(()));
    let (_, xml) = bench.call(EC2, &format!("DescribeInstances&InstanceId.1={id}"));
    assert_eq!(element(&xml, "instanceState"), Some("<code>48</code><name>terminated</name>"));
}

#[test]
fn pages_follow_their_tokens() {
    let bench = Bench::idle();
    bench.set_desired(5);
    bench.up(5);
    let check = |version, query: &str, item: &str, next_tag: &str, want: usize| {
        let (mut count, mut token, mut pages) = (0, String::new(), 0);
        loop {
            let (_, xml) = bench.call(version, &format!("{query}{token}"));
            count += xml.matches(&format!("<{item}>")).count();
            pages += 1;
            let Some(next) = element(&xml, next_tag) else { break };
            token = format!("&NextToken={next}");
        }
        assert_eq!((count, pages), (want, 3));
    };
    check(EC2, "DescribeInstances&MaxResults=2", "instanceId", "nextToken", 5);
    check(
        AUTOSCALING,
        "DescribeScalingActivities&AutoScalingGroupName=g&MaxRecords=2",
        "ActivityId",
        "NextToken",
        5,
    );
    check(AUTOSCALING, "DescribeAutoScalingInstances&MaxRecords=2", "InstanceId", "NextToken", 5);
}

#[test]
fn single_and_batch_termination_answer_with_their_activities() {
    let bench = Bench::idle();
    bench.set_desired(3);
    let ids: Vec<String> = bench.up(3).into_iter().map(|instance| instance.id).collect();
    let terminate = "TerminateInstanceInAutoScalingGroup&ShouldDecrementDesiredCapacity=true";
    let (_, xml) = bench.call(AUTOSCALING, &format!("{terminate}&InstanceId={}", ids[0]));
    assert_eq!(
        element(&xml, "Activity").and_then(|a| element(a, "StatusCode")),
        Some("InProgress"),
        "{xml}"
    );
    let batch = format!(
        "{terminate}&AutoScalingGroupName={GROUP}&InstanceIds.member.1={}&InstanceIds.member.2={}",
        ids[1], ids[2]
    );
    let (_, xml) = bench.call(AUTOSCALING, &batch);
    assert_eq!(element(&xml, "Activities").unwrap().matches("<member>").count(), 2, "{xml}");
    let (_, xml) = bench.call(AUTOSCALING, &format!("{terminate}&InstanceId=i-01234567890abcdef"));
    assert_eq!(
        element(&xml, "Message"),
        Some(
            "Instance Id not found - No managed instance found for instance ID: i-01234567890abcdef"
        )
    );
    bench.up(0);
    assert_eq!(bench.state().unwrap().group(GROUP).unwrap().desired, 0);
}

#[test]
fn a_service_without_batches_misses_the_instance_id() {
    let bench = Bench::new("exec sleep 1000", "isolate = false\nbatch_terminate = false");
    let id = bench.one().id;
    let query = "TerminateInstanceInAutoScalingGroup&ShouldDecrementDesiredCapacity=true&AutoScalingGroupName=g";
    let (status, xml) = bench.call(AUTOSCALING, &format!("{query}&InstanceIds.member.1={id}"));
    assert_eq!((status, element(&xml, "Code")), (400, Some("ValidationError")));
    assert_eq!(
        element(&xml, "Message"),
        Some(
            "1 validation error detected: Value null at 'instanceId' failed to satisfy constraint: Member must not be null"
        )
    );
    assert_eq!(bench.call(AUTOSCALING, &format!("{query}&InstanceId={id}")).0, 200);
}

#[test]
fn protection_sizes_and_processes_are_set_and_activities_filtered_by_time() {
    let bench = Bench::idle();
    let id = bench.one().id;
    let protect = format!(
        "SetInstanceProtection&AutoScalingGroupName=g&ProtectedFromScaleIn=true&InstanceIds.member.1={id}"
    );
    assert_eq!(bench.call(AUTOSCALING, &protect).0, 200);
    assert!(bench.instances()[0].protected);
    assert_eq!(
        bench
            .call(AUTOSCALING, "UpdateAutoScalingGroup&AutoScalingGroupName=g&MaxSize=3&MinSize=1")
            .0,
        200
    );
    let state = bench.state().unwrap();
    let group = state.group(GROUP).unwrap();
    assert_eq!((group.min, group.max, group.desired), (1, 3, 1));
    let processes = |action: &str, rest: &str| {
        let (status, _) =
            bench.call(AUTOSCALING, &format!("{action}&AutoScalingGroupName=g{rest}"));
        let (_, xml) = bench.call(AUTOSCALING, "DescribeAutoScalingGroups");
        (status, element(&xml, "SuspendedProcesses").unwrap().to_owned())
    };
    let (status, suspended) = processes("SuspendProcesses", "&ScalingProcesses.member.1=Launch");
    assert_eq!((status, suspended.matches("<member>").count()), (200, 2), "{suspended}");
    let launch = "<ProcessName>Launch</ProcessName><SuspensionReason>User suspended at 20";
    assert!(suspended.contains(launch), "{suspended}");
    assert_eq!(processes("ResumeProcesses", ""), (200, String::new()));
    assert_eq!(processes("SuspendProcesses", "&ScalingProcesses.member.1=Lunch").0, 400);
    let filtered = |name: &str, value: &str| {
        let filter =
            format!("&Filters.member.1.Name={name}&Filters.member.1.Values.member.1={value}");
        let (status, xml) = bench.call(AUTOSCALING, &format!("DescribeScalingActivities{filter}"));
        (status, xml.matches("<ActivityId>").count())
    };
    assert_eq!(filtered("StartTimeLowerBound", "2020-01-01T00:00:00Z"), (200, 1));
    assert_eq!(filtered("StartTimeLowerBound", "2100-01-01T00:00:00Z"), (200, 0));
    assert_eq!(filtered("Colour", "blue").0, 400);
    let (status, xml) = bench.call("2011-06-15", "GetCallerIdentity");
    assert_eq!((status, element(&xml, "Account")), (200, Some("123456789012")));
}

#[test]
fn cloudwatch_takes_the_query_protocol_and_refuses_what_makes_no_sense() {
    let bench = Bench::idle();
    let put = |rest: &str| bench.call(CLOUDWATCH, &format!("PutMetricData&{rest}"));
    let datum = "MetricData.member.1.MetricName=m&MetricData.member.1.Value=2.5\
        &MetricData.member.1.Dimensions.member.1.Name=D&MetricData.member.1.Dimensions.member.1.Value=v";
    let (status, xml) = put(&format!("Namespace=n&{datum}"));
    assert!(status == 200 && xml.starts_with("<PutMetricDataResponse xmlns="), "{status} {xml}");
    let state = bench.client.state().unwrap();
    let metric = state.metric("m", &[("D", "v")]).unwrap();
    assert_eq!((metric.namespace.as_str(), metric.points[0].value), ("n", 2.5));
    assert!(state.metric("m", &[]).is_none(), "dimensions tell metrics apart");
    for (rest, code) in [
        (datum.to_owned(), "MissingParameter"),
        ("Namespace=n".to_owned(), "MissingParameter"),
        (format!("Namespace=AWS/EC2&{datum}"), "InvalidParameterValue"),
        ("Namespace=n&MetricData.member.1.MetricName=m".to_owned(), "MissingParameter"),
        (
            "Namespace=n&MetricData.member.1.MetricName=m&MetricData.member.1.Value=NaN".to_owned(),
            "InvalidParameterValue",
        ),
        (
            format!("Namespace=n&{datum}&MetricData.member.1.Timestamp=2001-01-01T00:00:00Z"),
            "InvalidParameterValue",
        ),
    ] {
        let (status, xml) = put(&rest);
        assert_eq!((status, element(&xml, "Code")), (400, Some(code)), "{rest}: {xml}");
    }
    assert_eq!(bench.client.state().unwrap().metrics.len(), 1);
}
