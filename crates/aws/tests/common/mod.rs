//! What the tests share: a cloud at an endpoint, and a server that answers as it is told.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_sdk_ec2::config::Credentials;
use slurm_asg_aws::{AwsCloud, Settings, loader};
use slurm_asg_core::ids::{AsgName, GroupName};
use slurm_asg_core::metrics::{Figure, Metric};
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::{Cloud, CloudError, Publication};

/// The SDK's configuration for an endpoint that checks no signatures.
pub async fn config_at(url: &str) -> aws_config::SdkConfig {
    let settings = Settings { region: Some("eu-west-1".to_owned()), events_queue: None };
    let credentials = Credentials::new("test", "test", None, None, "test");
    loader(&settings).endpoint_url(url).credentials_provider(credentials).load().await
}

pub async fn cloud_at(url: &str) -> AwsCloud {
    AwsCloud::from_sdk_config(&config_at(url).await)
}

/// A request's form parameters, in the order in which they were sent.
#[derive(Clone, Debug)]
pub struct Request(Vec<(String, String)>);

impl Request {
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub fn action(&self) -> &str {
        self.get("Action").unwrap_or_default()
    }

    /// `Prefix.1`, `Prefix.2`, …
    pub fn list(&self, prefix: &str) -> Vec<&str> {
        let values = (1..).map(|n| self.get(&format!("{prefix}.{n}")));
        values.take_while(Option::is_some).flatten().collect()
    }

    /// The ids a terminate call is about, in either form.
    pub fn terminates(&self) -> Vec<&str> {
        let batch = self.list("InstanceIds.member");
        if batch.is_empty() { self.get("InstanceId").into_iter().collect() } else { batch }
    }
}

/// An answer: HTTP status and body.
pub type Answer = (u16, String);

type Respond = dyn FnMut(&Request) -> Answer + Send;

/// A server on loopback that answers by a function and keeps what was asked.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(respond: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let respond: Arc<Mutex<Box<Respond>>> = Arc::new(Mutex::new(Box::new(respond)));
        let keep = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (respond, keep) = (Arc::clone(&respond), Arc::clone(&keep));
                std::thread::spawn(move || serve(stream, &respond, &keep));
            }
        });
        Self { url, seen }
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub fn actions(&self) -> Vec<String> {
        self.seen().iter().map(|request| request.action().to_owned()).collect()
    }

    /// The terminate calls, each as its ids.
    pub fn terminations(&self) -> Vec<String> {
        let seen = self.seen();
        let calls = seen.iter().filter(|request| request.action().starts_with("Terminate"));
        calls.map(|request| request.terminates().join(" ")).collect()
    }
}

fn serve(mut stream: TcpStream, respond: &Mutex<Box<Respond>>, seen: &Mutex<Vec<Request>>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 65536];
    let body = loop {
        let count = stream.read(&mut chunk).unwrap_or(0);
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            });
            if body.len() >= length.unwrap_or(0_usize) {
                break body.to_owned();
            }
        }
        if count == 0 {
            return;
        }
    };
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    let request = Request(pairs.map(|(key, value)| (decode(key), decode(value))).collect());
    seen.lock().unwrap().push(request.clone());
    let (status, body) = (respond.lock().unwrap())(&request);
    let length = body.len();
    let head = "content-type: text/xml\r\nconnection: close";
    let answer = format!("HTTP/1.1 {status} X\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}");
    // A client that has lost patience is no failure of the server.
    drop(stream.write_all(answer.as_bytes()));
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// Auto Scaling's refusal.
pub fn refusal(status: u16, code: &str, words: &str) -> Answer {
    let error = format!("<Error><Code>{code}</Code><Message>{words}</Message></Error>");
    (status, format!("<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>"))
}

/// EC2's refusal.
pub fn ec2_refusal(status: u16, code: &str, words: &str) -> Answer {
    let error = format!("<Error><Code>{code}</Code><Message>{words}</Message></Error>");
    (status, format!("<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>"))
}

/// A server that crashed.
pub fn crash() -> Answer {
    (500, "<!doctype html>\n<title>500 Internal Server Error</title>\n".to_owned())
}

/// An Auto Scaling answer.
pub fn done(action: &str, result: &str) -> Answer {
    let result = format!("<{action}Result>{result}</{action}Result>");
    let metadata = "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>";
    (200, format!("<{action}Response>{result}{metadata}</{action}Response>"))
}

/// DescribeAutoScalingGroups: one group as XML, its instances InService.
pub fn group(name: &str, instances: &[&str]) -> String {
    let member = |id: &&str| {
        format!(
            "<member><InstanceId>{id}</InstanceId><LifecycleState>InService</LifecycleState>\
             <HealthStatus>Healthy</HealthStatus><AvailabilityZone>z</AvailabilityZone></member>"
        )
    };
    let members: String = instances.iter().map(member).collect();
    format!(
        "<member><AutoScalingGroupName>{name}</AutoScalingGroupName><MinSize>0</MinSize>\
         <MaxSize>9</MaxSize><DesiredCapacity>{}</DesiredCapacity><Instances>{members}</Instances>\
         </member>",
        instances.len()
    )
}

/// An answer to TerminateInstanceInAutoScalingGroup that confirms these ids, in the batch's form.
pub fn terminated(ids: &[&str]) -> Answer {
    let activity = |id: &&str| {
        format!(
            "<member><ActivityId>a</ActivityId><Description>Terminating EC2 instance: {id}\
             </Description><StatusCode>InProgress</StatusCode></member>"
        )
    };
    let activities: String = ids.iter().map(activity).collect();
    done("TerminateInstanceInAutoScalingGroup", &format!("<Activities>{activities}</Activities>"))
}

/// DescribeInstances: these ids, running.
pub fn running(ids: &[&str]) -> Answer {
    let item = |id: &&str| {
        format!(
            "<item><instanceId>{id}</instanceId><instanceState><code>16</code><name>running</name>\
             </instanceState><privateIpAddress>10.0.0.1</privateIpAddress></item>"
        )
    };
    let items: String = ids.iter().map(item).collect();
    let set = format!("<item><instancesSet>{items}</instancesSet></item>");
    (
        200,
        format!(
            "<DescribeInstancesResponse><reservationSet>{set}</reservationSet></DescribeInstancesResponse>"
        ),
    )
}

/// Figures of `groups` groups and of the cluster; each has another value.
pub fn publication(at: Timestamp, groups: u32) -> Publication {
    let figure = |nth: u32| Figure {
        metric: if nth == 0 { Metric::Pending } else { Metric::InService },
        group: (nth > 0).then(|| GroupName::new(&format!("group-{nth}"))),
        value: nth * 3,
    };
    let figures = (0..=groups).map(figure).collect();
    Publication { namespace: "HPC/Slurm".to_owned(), cluster: "lab".to_owned(), at, figures }
}

/// How the publication ended that was handed over last.
pub async fn published(cloud: &AwsCloud) -> Result<(), CloudError> {
    let start = Instant::now();
    loop {
        if let Some(result) = cloud.published() {
            return result;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was heard of it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Now, in whole seconds.
pub fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(now.as_secs() * 1000)
}

/// Waits until a group has an instance.
pub async fn until_some(cloud: &AwsCloud, name: &str) {
    let asg = AsgName::new(name);
    let start = Instant::now();
    loop {
        let groups = cloud.describe_groups(std::slice::from_ref(&asg)).await.unwrap();
        if !groups[&asg].instances.is_empty() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{name} has no instance");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
