//! Nodes that a person protects from suspension.

use slurm_asg_engine::Keeping;

use super::*;

/// n1 is served by i-9 and has been idle for 400 s.
fn idle() -> Fake {
    let fake = Fake::new();
    fake.node("n1", NodeState::IDLE);
    fake.bind("n1", "b", 9);
    let mut state = fake.state();
    let node = state.nodes.get_mut(&NodeName::new("n1")).unwrap();
    node.address = "10.0.0.9".to_owned();
    node.idle_since = Some(Timestamp::from_secs(600));
    drop(state);
    fake
}

fn keeping(nodes: &str, until: Option<i64>) -> Keeping {
    let until = until.map(Timestamp::from_secs);
    Keeping { nodes: nodes.to_owned(), until, user: 7, reason: Some("debugging".to_owned()) }
}

/// What was asked of Slurm beside looks.
fn refreshed(fake: &Fake) -> Vec<String> {
    fake.log().into_iter().filter(|line| line.starts_with("refresh")).collect()
}

#[test]
fn a_protected_node_s_idle_time_begins_anew_until_the_protection_ends() {
    let fake = idle();
    let mut engine = fake.engine();
    turn(&mut engine);
    assert_eq!(refreshed(&fake), [""; 0], "nobody has protected it");
    let changed = engine.keep(&keeping("n[1-2]", Some(2000)));
    assert_eq!(changed, Ok(vec!["n1".into(), "n2".into()]));
    assert_eq!(fake.state().saved.kept.len(), 2);
    assert_eq!(engine.keep(&keeping("n1", Some(2000))), Ok(Vec::new()), "that is known");
    turn(&mut engine);
    assert_eq!(refreshed(&fake), ["refresh n1"]);
    turn(&mut engine);
    assert_eq!(refreshed(&fake), [""; 0], "that lasts");
    // Another loop goes on with it.
    let mut engine = fake.engine();
    fake.pass(400_000);
    turn(&mut engine);
    assert_eq!(refreshed(&fake), ["refresh n1"]);
    assert_eq!(engine.keep(&keeping("n2", None)), Ok(vec!["n2".into()]));
    fake.pass(600_000);
    turn(&mut engine);
    assert_eq!(refreshed(&fake), [""; 0], "its time is over");
    let events = std::mem::take(&mut fake.state().recorded);
    let of_nodes = events.iter().filter(|event| event.event.as_str().starts_with("node_"));
    let told: Vec<_> = of_nodes
        .map(|event| format!("{} {} {:?}", event.event, event.node.as_ref().unwrap(), event.user))
        .collect();
    assert_eq!(
        told,
        [
            "node_protected n1 Some(7)",
            "node_protected n2 Some(7)",
            "node_released n2 Some(7)",
            "node_released n1 None",
        ]
    );
}

#[test]
fn what_is_no_more_idle_is_not_refreshed() {
    for state in [
        NodeState::ALLOCATED,
        NodeState::DOWN,
        NodeState::IDLE | NodeState::DRAIN,
        NodeState::IDLE | NodeState::POWERING_DOWN,
    ] {
        let fake = idle();
        let mut engine = fake.engine();
        engine.keep(&keeping("n1", Some(2000))).unwrap();
        turn(&mut engine);
        assert_eq!(refreshed(&fake), ["refresh n1"]);
        fake.pass(400_000);
        let change: fn(&mut State) = match state {
            NodeState::ALLOCATED => |state| set(state, NodeState::ALLOCATED),
            NodeState::DOWN => |state| set(state, NodeState::DOWN),
            other if other & NodeState::DRAIN != 0 => {
                |state| set(state, NodeState::IDLE | NodeState::DRAIN)
            }
            _ => |state| set(state, NodeState::IDLE | NodeState::POWERING_DOWN),
        };
        // After the nodes have been read.
        fake.state().meanwhile.insert("queue", change);
        turn(&mut engine);
        assert_eq!(refreshed(&fake), [""; 0], "{state:x}");
    }
}

fn set(state: &mut State, word: u32) {
    state.nodes.get_mut(&NodeName::new("n1")).unwrap().state = NodeState(word);
}

#[test]
fn what_cannot_be_protected_is_said_in_one_line_and_changes_nothing() {
    let fake = idle();
    let mut engine = fake.engine();
    for (nodes, until, words) in [
        ("x1", Some(2000), "x1 is no node of a group in asg.toml"),
        ("n[1-", Some(2000), "n[1-"),
        ("n1", Some(900), "1970-01-01 00:15 UTC is over already"),
        ("n1", Some(100_000_000), "more than 366 days away"),
    ] {
        let why = engine.keep(&keeping(nodes, until)).unwrap_err();
        assert!(why.contains(words) && !why.contains('\n'), "{why}");
    }
    assert!(fake.state().saved.kept.is_empty());
    engine.keep(&keeping("n1", Some(2000))).unwrap();
    let retired = ready(engine.retire("n1", "old", 0)).unwrap_err();
    assert!(retired.contains("slurm-asg release n1 ends that"), "{retired}");
}

#[test]
fn slurm_s_refusal_is_a_trouble_that_ends() {
    let fake = idle();
    let mut engine = fake.engine();
    engine.keep(&keeping("n1", Some(2000))).unwrap();
    fake.state().fail.insert("refresh");
    let look = turn(&mut engine);
    assert!(look.troubles.iter().any(|it| it.contains("Slurm may suspend protected nodes")));
    fake.state().fail.clear();
    turn(&mut engine);
    let look = turn(&mut engine);
    assert_eq!(look.troubles, [""; 0]);
}
