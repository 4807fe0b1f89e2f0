//! The SDK's clients: where the configuration comes from, how long is waited, how often is retried.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_autoscaling as autoscaling;
use aws_sdk_cloudwatch as cloudwatch;
use aws_sdk_ec2 as ec2;
use aws_sdk_sqs as sqs;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use crate::calls::Calls;
use crate::clock::AwsClock;
use crate::queue::WAIT_S;

/// To connect: one round trip inside the region is about a millisecond, so 2 s lets a lost SYN be
/// sent again and no more.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// For one attempt's answer. A full DescribeInstances page takes a second or two.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// For a call with all its retries: after that a fresh look is worth more than the answer.
const OPERATION_MAX: Duration = Duration::from_secs(30);
/// Attempts of one call, the first included. A lost connection or a throttled call is cured by
/// one or two repetitions with the SDK's back-off; more would only hold up the loop, which looks
/// again anyway. Every call here may be made twice.
const ATTEMPTS_MAX: u32 = 3;
/// Goes into the user agent, so that CloudTrail shows who called.
const APP_NAME: &str = "slurm-asg";

/// What the configuration file says of AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The region; `None` leaves it to the SDK: AWS_REGION, profile, instance metadata.
    pub region: Option<String>,
    /// The URL of the SQS queue that AWS's notices come from, if there is one.
    pub events_queue: Option<String>,
}

/// The SDK's configuration as this crate wants it, yet to be loaded: a test adds an endpoint and
/// credentials.
#[must_use]
pub fn loader(settings: &Settings) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .operation_attempt_timeout(ATTEMPT_MAX)
        .operation_timeout(OPERATION_MAX)
        .build();
    // The ring provider: it builds with a C compiler alone and in seconds.
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS_MAX));
    if let Ok(name) = AppName::new(APP_NAME) {
        loader = loader.app_name(name);
    }
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    loader
}

/// The clients, and where each of them last sent a request to.
#[derive(Clone, Debug)]
pub struct Clients {
    /// EC2 Auto Scaling.
    pub autoscaling: autoscaling::Client,
    /// EC2.
    pub ec2: ec2::Client,
    /// CloudWatch.
    pub cloudwatch: cloudwatch::Client,
    /// SQS. Its requests are held open while there is no message.
    pub sqs: sqs::Client,
    /// Counts the calls of all four.
    pub calls: Calls,
    /// Compares this host's clock with AWS's.
    pub clock: AwsClock,
    /// Where Auto Scaling calls go.
    pub autoscaling_at: Endpoint,
    /// Where EC2 calls go.
    pub ec2_at: Endpoint,
    /// Where CloudWatch calls go.
    pub cloudwatch_at: Endpoint,
    /// Where SQS calls go.
    pub sqs_at: Endpoint,
}

impl Clients {
    /// Makes no request.
    pub fn new(config: &SdkConfig) -> Self {
        let (autoscaling_at, ec2_at) = (Endpoint::default(), Endpoint::default());
        let (cloudwatch_at, sqs_at) = (Endpoint::default(), Endpoint::default());
        let (calls, clock) = (Calls::default(), AwsClock::default());
        let autoscaling = autoscaling::config::Builder::from(config);
        let ec2 = ec2::config::Builder::from(config);
        let cloudwatch = cloudwatch::config::Builder::from(config);
        let sqs = sqs::config::Builder::from(config).timeout_config(with_long_polls());
        Self {
            autoscaling: autoscaling::Client::from_conf(
                autoscaling
                    .interceptor(autoscaling_at.clone())
                    .interceptor(calls.clone())
                    .interceptor(clock.clone())
                    .build(),
            ),
            ec2: ec2::Client::from_conf(
                ec2.interceptor(ec2_at.clone())
                    .interceptor(calls.clone())
                    .interceptor(clock.clone())
                    .build(),
            ),
            cloudwatch: cloudwatch::Client::from_conf(
                cloudwatch.interceptor(cloudwatch_at.clone()).interceptor(calls.clone()).build(),
            ),
            sqs: sqs::Client::from_conf(
                sqs.interceptor(sqs_at.clone()).interceptor(calls.clone()).build(),
            ),
            calls,
            clock,
            autoscaling_at,
            ec2_at,
            cloudwatch_at,
            sqs_at,
        }
    }
}

/// Time limits for requests that are held open.
fn with_long_polls() -> TimeoutConfig {
    let attempt = ATTEMPT_MAX + Duration::from_secs(u64::from(WAIT_S.unsigned_abs()));
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * 2)
        .build()
}

/// Remembers the endpoint that the SDK chose, for messages: it depends on environment, profile and
/// region, and the SDK's own errors do not name it.
#[derive(Clone, Debug, Default)]
pub struct Endpoint(Arc<Mutex<Option<String>>>);

impl Endpoint {
    /// `https://autoscaling.eu-west-1.amazonaws.com`, or words in its place before the first request.
    pub fn name(&self) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.unwrap_or_else(|| "the AWS endpoint".to_owned())
    }
}

impl Intercept for Endpoint {
    fn name(&self) -> &'static str {
        "slurm-asg endpoint"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let uri = context.request().uri();
        // Scheme and host: everything up to the path.
        let host_at = uri.find("://").map_or(0, |at| at + 3);
        let host = uri.get(host_at..).unwrap_or_default();
        let host = host.split(['/', '?']).next().unwrap_or_default();
        // A name and a password before the host are nobody's business.
        let host = host.rsplit('@').next().unwrap_or_default();
        let scheme = uri.get(..host_at).unwrap_or_default();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(format!("{scheme}{host}"));
        Ok(())
    }
}
