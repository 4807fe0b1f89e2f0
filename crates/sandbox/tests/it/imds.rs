//! Instance metadata as a bootstrap reads it.

use crate::bench::{Bench, EC2};

#[test]
fn metadata_needs_a_token_and_is_of_one_instance() {
    let bench = Bench::idle();
    let instance = bench.one();
    let base = format!("/imds/{}/latest", instance.id);
    let token_url = format!("{base}/api/token");
    assert_eq!(bench.request("PUT", &token_url, &[], "").unwrap().0, 400);
    let (status, token) = bench
        .request("PUT", &token_url, &["X-aws-ec2-metadata-token-ttl-seconds: 60"], "")
        .unwrap();
    assert_eq!(status, 200);
    let header = format!("X-aws-ec2-metadata-token: {token}");
    let get = |path: &str| {
        bench.request("GET", &format!("{base}/meta-data/{path}"), &[&header], "").unwrap()
    };
    let ip = instance.ip.to_string();
    for (path, want) in [
        ("instance-id", instance.id.as_str()),
        ("local-ipv4", &ip),
        ("instance-type", "c5.large"),
        ("placement/availability-zone", "eu-west-1a"),
        ("tags/instance/", "aws:autoscaling:groupName"),
        ("tags/instance/aws:autoscaling:groupName", "g"),
    ] {
        assert_eq!(get(path), (200, want.to_owned()), "{path}");
    }
    assert_eq!(get("tags/instance/slurm-asg:node").0, 404);
    bench.call(
        EC2,
        &format!("CreateTags&ResourceId.1={}&Tag.1.Key=slurm-asg:node&Tag.1.Value=c1", instance.id),
    );
    assert_eq!(get("tags/instance/slurm-asg%3Anode"), (200, "c1".into()));
    for headers in [&[][..], &["X-aws-ec2-metadata-token: wrong"]] {
        assert_eq!(
            bench.request("GET", &format!("{base}/meta-data/local-ipv4"), headers, "").unwrap().0,
            401
        );
    }
    assert_eq!(
        bench
            .request(
                "PUT",
                "/imds/i-1/latest/api/token",
                &["X-aws-ec2-metadata-token-ttl-seconds: 60"],
                ""
            )
            .unwrap()
            .0,
        404
    );
}
