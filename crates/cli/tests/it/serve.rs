//! `slurm-asg serve`, asked by curl, a real Prometheus, another parser and a real browser.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::plugin::{Answers, Plugin, program, status, stderr, stdout};

/// For what a busy machine may take.
const SOON: Duration = Duration::from_secs(60);

/// A child that ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Served {
    process: Running,
    plugin: Plugin,
    dir: tempfile::TempDir,
    url: String,
}

impl Served {
    fn start() -> Self {
        let plugin = Plugin::start(Answers { status: status(), ..Answers::default() });
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("events.jsonl");
        fs::write(&log, "").unwrap();
        plugin.change(|answers| answers.status["events"] = json!(log));
        let mut command = plugin.command(&["serve", "--listen", "127.0.0.1:0", "--interval", "1"]);
        let mut process = Running(command.stderr(Stdio::piped()).spawn().unwrap());
        let mut said = String::new();
        BufReader::new(process.0.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let url = said.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("{said}")).trim_end_matches('/').to_owned();
        let served = Self { process, plugin, dir, url };
        served.until("/healthz", "ok");
        served
    }

    /// Adds to the event log, as of now.
    fn log(&self, event: &str, fields: &str) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let at =
            slurm_asg_core::time::Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap());
        let at = slurm_asg_core::time::rfc3339::text(at);
        let line = format!("{{\"time\":\"{at}\",\"event\":\"{event}\",{fields}}}\n");
        let log = self.dir.path().join("events.jsonl");
        let mut log = fs::OpenOptions::new().append(true).open(log).unwrap();
        log.write_all(line.as_bytes()).unwrap();
    }

    /// A page with its headers.
    fn get(&self, path: &str) -> String {
        let url = format!("{}{path}", self.url);
        stdout(&Command::new("curl").args(["-sS", "-i", "-m", "10", &url]).output().unwrap())
    }

    fn until(&self, path: &str, words: &str) -> String {
        let mut last = String::new();
        wait_for(|| {
            last = self.get(path);
            last.contains(words).then(|| last.clone())
        })
        .unwrap_or_else(|| panic!("no {words:?} in {path}:\n{last}"))
    }
}

fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        match ask() {
            Some(found) => return Some(found),
            None if began.elapsed() > SOON => return None,
            None => thread::sleep(Duration::from_millis(200)),
        }
    }
}

#[test]
fn everything_is_served_with_its_type_and_nothing_else_is_there() {
    let served = Served::start();
    served.log("node_up", r#""group":"compute","node":"compute-1","boot_ms":40000"#);
    let metrics = served.until("/metrics", "slurm_asg_boot_seconds_count{group=\"compute\"} 1\n");
    assert!(metrics.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(metrics.contains("slurm_asg_pending_jobs{why=\"held\"} 1.0\n"), "{metrics}");
    let page = served.until("/", "node_up");
    for words in ["HTTP/1.1 200", "default-src 'none'", "compute-3", "held; scontrol release"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(page.contains("&lt;b&gt;none&lt;/b&gt; &quot;left&quot;"), "{page}");
    let status = served.get("/status.json");
    assert!(
        status.contains("application/json") && status.contains("\"hook_calls\": 3"),
        "{status}"
    );
    assert!(served.get("/style.css").contains("content-type: text/css"));
    let nothing = served.get("/favicon.ico");
    assert!(nothing.starts_with("HTTP/1.1 404") && nothing.contains("/metrics"), "{nothing}");
    let post = Command::new("curl").args(["-sS", "-i", "-XPOST", &served.url]).output().unwrap();
    assert!(stdout(&post).starts_with("HTTP/1.1 405"), "{post:?}");
}

#[test]
fn a_plugin_that_does_not_answer_is_said_everywhere_and_asked_again() {
    let served = Served::start();
    served.plugin.change(|answers| answers.status = json!({}));
    let metrics = served.until("/metrics", "slurm_asg_up 0.0\n");
    assert!(!metrics.contains("slurm_asg_group_nodes"), "{metrics}");
    assert!(served.get("/healthz").starts_with("HTTP/1.1 503"));
    assert!(served.get("/status.json").starts_with("HTTP/1.1 503"));
    assert!(served.get("/").contains("role=\"alert\""));
    served.plugin.change(|answers| answers.status = status());
    served.until("/metrics", "slurm_asg_up 1.0\n");
    // Without an event log the rest goes on.
    served.until("/", "No charts: ");
}

#[test]
fn it_ends_when_it_is_told_to_and_says_what_keeps_it_from_beginning() {
    let mut served = Served::start();
    let pid = served.process.0.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    assert!(served.process.0.wait().unwrap().success());
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let table: [(&[&str], i32, &str); 3] = [
        (&["--listen", &taken], 1, "cannot be listened on"),
        (&["--listen", "9818"], 2, "invalid socket address"),
        (&["--interval", "0"], 2, "0 is not in 1..=300"),
    ];
    for (arguments, code, words) in table {
        let output = program().arg("serve").args(arguments).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{said}");
        assert!(code == 2 || said.trim_end().lines().count() == 1, "{said}");
    }
}

/// Debian's python3-prometheus-client: another reader of OpenMetrics, and a strict one.
#[test]
fn another_parser_reads_the_metrics() {
    let served = Served::start();
    played(&served);
    served.until("/metrics", "slurm_asg_job_wait_seconds_count 1\n");
    let text = served.get("/metrics");
    let body = text.split_once("\r\n\r\n").unwrap().1;
    let script = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as read\n\
        for family in read(sys.stdin.read()): print(family.name, family.type, len(family.samples))";
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{body}", stderr(&output));
    let families = stdout(&output);
    for family in ["slurm_asg_boot_seconds histogram", "slurm_asg_api_calls counter"] {
        assert!(families.contains(family), "{family}: {families}");
    }
    // The document lists them all, and no others.
    let document = include_str!("../../../../docs/serve.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `slurm_asg_"));
    let mut listed: Vec<_> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
    let name = |line: &str| {
        let (name, rest) = line.split_once(' ').unwrap();
        let end = if rest.starts_with("counter") { "_total" } else { "" };
        let end = if rest.starts_with("info") { "_info" } else { end };
        name.strip_prefix("slurm_asg_").unwrap().to_owned() + end
    };
    let mut there: Vec<_> = families.lines().map(name).collect();
    listed.sort();
    there.sort();
    assert_eq!(listed, there);
}

/// A job whose node comes, and calls to AWS.
fn played(served: &Served) {
    served.plugin.change(|answers| {
        let figures = json!({
            "looks": 10, "look_ms": 200, "lag_ms": 3, "looks_within": [[10, 2], [100, 10]],
            "api_calls": [{"operation": "SetDesiredCapacity", "outcome": "ok", "count": 5}],
        });
        answers.status["figures"] = figures;
        answers.status["currency"] = json!("USD");
        answers.status["groups"][0]["price_micros"] = json!(340_000);
    });
    let group = r#""group":"compute""#;
    served.log("nodes_resumed", &format!(r#"{group},"nodes":"compute-1","jobs":[12]"#));
    served.log("node_bound", &format!(r#"{group},"node":"compute-1","instance":"i-0a1""#));
    served.log("node_up", &format!(r#"{group},"node":"compute-1","boot_ms":41000"#));
    let error = r#""error":"SetDesiredCapacity: Throttling: Rate exceeded""#;
    served.log("capacity_raised_failed", &format!("{group},{error}"));
    served.log(
        "group_state",
        &format!(r#"{group},"busy":1,"idle":1,"booting":1,"desired":3,"max":8,"demand":4"#),
    );
}

/// A Prometheus of its own that asks every second.
struct Prometheus {
    _process: Running,
    _dir: tempfile::TempDir,
    url: String,
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("prometheus.yml");
        let target = target.trim_start_matches("http://");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: slurm-asg\n    \
             static_configs: [{{targets: [\"{target}\"]}}]\n"
        );
        fs::write(&config, text).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { _process: Running(process), _dir: dir, url: format!("http://127.0.0.1:{port}") }
    }

    /// What an expression gives: an error, or the number of series.
    fn query(&self, expression: &str) -> Result<usize, String> {
        let output = Command::new("curl")
            .args(["-sSG", "-m", "10", "--data-urlencode", &format!("query={expression}")])
            .arg(format!("{}/api/v1/query", self.url))
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout)
            .map_err(|_| format!("no answer: {}", stderr(&output)))?;
        match answer["data"]["result"].as_array() {
            Some(series) => Ok(series.len()),
            None => Err(format!("{expression}: {answer}")),
        }
    }
}

fn packaging(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(path)
}

/// Name and expression of each alert. A rule's lines are one key each.
fn alerts() -> Vec<(String, String)> {
    let text = fs::read_to_string(packaging("prometheus/slurm-asg.rules.yml")).unwrap();
    let of = |key: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().trim_start_matches("- "));
        lines.filter_map(|line| Some(line.strip_prefix(key)?.trim().to_owned())).collect()
    };
    let (names, expressions) = (of("alert:"), of("expr:"));
    assert_eq!(names.len(), expressions.len());
    names.into_iter().zip(expressions).collect()
}

/// All expressions of the dashboard, as Grafana would ask them.
fn dashboard() -> Vec<String> {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match (key.as_str(), value) {
                        ("expr", Value::String(text)) => found.push(text.clone()),
                        _ => walk(value, found),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let text = fs::read_to_string(packaging("grafana/slurm-asg.json")).unwrap();
    let mut found = Vec::new();
    walk(&serde_json::from_str(&text).unwrap(), &mut found);
    let concrete = |text: String| {
        text.replace("$group", ".*").replace("$__rate_interval", "1m").replace("$__range", "1h")
    };
    found.into_iter().map(concrete).collect()
}

#[test]
fn every_expression_of_dashboard_and_alerts_is_of_metrics_that_there_are() {
    let rules = packaging("prometheus/slurm-asg.rules.yml");
    let checked = Command::new("promtool").arg("check").arg("rules").arg(&rules).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let served = Served::start();
    let well = |answers: &mut Answers| {
        answers.status["groups"][1]["problem"] = Value::Null;
        answers.status["groups"][1]["pending_instances"] = json!(0);
        answers.status["nodes"].as_array_mut().unwrap().pop();
    };
    served.plugin.change(well);
    played(&served);
    let prometheus = Prometheus::start(&served.url);
    let until = |expression: &str, is_wanted: &dyn Fn(usize) -> bool, what: &str| {
        let mut last = Ok(0);
        let found = wait_for(|| {
            last = prometheus.query(expression);
            matches!(last, Ok(count) if is_wanted(count)).then_some(())
        });
        assert!(found.is_some(), "{what}: {expression}: {last:?}");
    };
    until("up{job=\"slurm-asg\"} == 1", &|count| count == 1, "it is scraped");
    // Two scrapes after the last change have to be there for rates.
    served.log("node_up", r#""group":"compute","node":"compute-1","boot_ms":41000"#);
    served.log("capacity_raised_failed", r#""group":"compute","error":"a: Throttling: b""#);
    for expression in dashboard() {
        until(&expression, &|count| count > 0, "the dashboard shows something");
    }
    let alerts = alerts();
    for (name, expression) in &alerts {
        assert_eq!(prometheus.query(expression), Ok(0), "{name} is quiet while all is well");
    }
    served.plugin.change(|answers| {
        let status = &mut answers.status;
        status["looked_at_ms"] = json!(1_000);
        status["problem"] = json!("asg.toml:1: wrong");
        status["groups"][0]["problem"] = json!("throttled");
        status["groups"][0]["paused"] = json!(true);
        status["groups"][0]["protected"] = json!(true);
        status["groups"][0]["pending_instances"] = json!(3);
        status["groups"][0]["demand"] = json!(9);
        status["groups"][0]["spare"] = json!(1);
        status["groups"][0]["busy"] = json!(0);
        status["groups"][0]["idle"] = json!(100);
        status["nodes"] = crate::plugin::status()["nodes"].clone();
        status["figures"]["lag_ms"] = json!(11_000);
        let calls = |outcome: &str| {
            json!({"operation": "SetDesiredCapacity", "outcome": outcome, "count": 100})
        };
        let outcomes = ["ok", "throttled", "denied", "service", "no_answer", "other"];
        status["figures"]["api_calls"] = outcomes.map(calls).as_slice().into();
    });
    for nth in 0..8 {
        let node = format!(r#""group":"compute","node":"compute-{nth}""#);
        served.log("node_down", &format!(r#"{node},"reason":"(Code:InstanceGone) gone""#));
        served.log("node_up", &format!(r#"{node},"boot_ms":500000"#));
    }
    served.log("events_dropped", r#""dropped":7"#);
    let (down, others): (Vec<_>, Vec<_>) =
        alerts.iter().partition(|(name, _)| name == "SlurmAsgDown");
    for (name, expression) in others {
        until(expression, &|count| count > 0, name);
    }
    served.plugin.change(|answers| answers.status = json!({}));
    for (name, expression) in down {
        until(expression, &|count| count > 0, name);
    }
}

/// Runs the browser once; what is on the page after its scripts, and what it complained of.
fn browse(arguments: &[&str], url: &str) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-extensions", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--timeout=60000", "--virtual-time-budget=8000"])
        .args(arguments)
        .arg(url)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let complaints = stderr(&output);
    let complaints = complaints.lines().filter(|line| line.contains("CONSOLE"));
    let complaints = complaints.map(str::to_owned).collect::<Vec<_>>().join("\n");
    (stdout(&output), complaints)
}

#[test]
fn a_browser_shows_the_page_light_and_dark_wide_and_narrow_without_a_complaint() {
    let served = Served::start();
    played(&served);
    served.until("/", "<div class=\"chart\"");
    let (page, complaints) = browse(&["--dump-dom"], &served.url);
    assert_eq!(complaints, "");
    // The script has run, and has put a newer part in its place.
    assert!(page.contains("role=\"status\">live</p>"), "{page}");
    assert!(page.contains("compute-3") && page.contains("<div class=\"chart\""), "{page}");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    fs::create_dir_all(&pictures).unwrap();
    let dark = "--blink-settings=preferredColorScheme=0";
    let table: [(&str, &[&str]); 3] = [
        ("wide", &["--window-size=1100,1300"]),
        ("wide-dark", &["--window-size=1100,1300", dark]),
        ("phone", &["--window-size=500,1300"]),
    ];
    let mut taken = Vec::new();
    for (name, arguments) in table {
        let picture = pictures.join(format!("{name}.png"));
        let screenshot = format!("--screenshot={}", picture.display());
        let (_, complaints) = browse(&[arguments, &[&screenshot]].concat(), &served.url);
        assert_eq!(complaints, "", "{name}");
        taken.push(fs::read(&picture).unwrap());
    }
    assert!(taken.iter().all(|picture| picture.starts_with(b"\x89PNG")));
    assert_ne!(taken[0], taken[1], "dark is not light");
}
