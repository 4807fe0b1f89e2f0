//! Instances that are asked for by zone.

use super::*;

const BY_ZONE: &str = "
[[group]]
name = \"g\"
nodes = \"n[1-6]\"
asg = \"a\"
api = \"launch-instances\"
";

/// n1 and n2 wait, and the group has one zone.
fn waiting() -> Fake {
    let fake = Fake::new();
    fake.node("n1", BOOTING);
    fake.node("n2", BOOTING);
    fake.state().asgs.get_mut(&AsgName::new("a")).unwrap().zones = vec!["z".to_owned()];
    fake
}

/// The requests since this was asked last.
fn launches(fake: &Fake) -> Vec<String> {
    fake.log().into_iter().filter(|line| line.starts_with("launch")).collect()
}

#[test]
fn a_request_is_saved_before_it_is_made_and_repeated_as_it_was_by_another_loop() {
    let fake = waiting();
    fake.state().fail.insert("launch");
    turn(&mut fake.engine_by(BY_ZONE));
    let log = fake.log();
    let at = |word: &str| log.iter().position(|line| line.starts_with(word)).unwrap();
    assert!(at("save") < at("launch"), "{log:?}");
    let first = log[at("launch")].clone();
    assert!(first.starts_with("launch 2 of a in z a-1000"), "{first}");
    fake.state().fail.clear();
    fake.pass(1000);
    let mut engine = fake.engine_by(BY_ZONE);
    turn(&mut engine);
    assert_eq!(launches(&fake), [first]);
    // The list does not show them yet.
    assert_eq!(fake.state().saved.launches.len(), 1);
    turn(&mut engine);
    assert_eq!(launches(&fake), [""; 0]);
}

#[test]
fn a_request_may_take_its_time_and_nothing_is_given_back_meanwhile() {
    let fake = waiting();
    fake.state().meanwhile.insert("launch", |state| state.now += 20_000);
    let mut engine = fake.engine_by(BY_ZONE);
    turn(&mut engine);
    assert_eq!(launches(&fake).len(), 1);
    // As the group shows it then.
    fake.launch("a", 7);
    fake.launch("a", 8);
    turn(&mut engine);
    let log = fake.log();
    assert!(log.contains(&"address n1 10.0.0.7, n2 10.0.0.8".to_owned()), "{log:?}");
    assert!(fake.state().saved.launches.is_empty());
    let told = fake.state().recorded.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(told.iter().any(|line| line.ends_with("desired capacity 0 -> 2 in z")), "{told:#?}");
}
