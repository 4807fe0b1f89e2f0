//! What a group leaves undone while its processes are suspended.

use super::*;

impl Bench {
    fn suspend(&mut self, processes: &[&str]) {
        self.world.suspend(GROUP, processes, self.now_ms).unwrap();
    }

    fn resume(&mut self, processes: &[&str]) {
        self.world.resume(GROUP, processes, self.now_ms).unwrap();
    }

    fn suspended(&self) -> Vec<&'static str> {
        let suspended = &self.world.cloud().groups[GROUP].suspended;
        suspended.iter().map(|suspension| suspension.process.name()).collect()
    }
}

#[test]
fn an_omitted_list_means_all_processes_and_an_unknown_name_none() {
    let mut bench = Bench::new(0, 4, 0, "");
    assert_eq!(bench.suspended(), ["AZRebalance"]);
    let refused = bench.world.suspend(GROUP, &["Launch", "Lunch"], 0).unwrap_err();
    assert_eq!((refused.code, bench.suspended().len()), ("ValidationError", 1));
    bench.suspend(&[]);
    assert_eq!(bench.suspended().len(), 9);
    bench.resume(&["AZRebalance", "Launch"]);
    assert_eq!(bench.suspended().len(), 7);
    bench.resume(&[]);
    assert_eq!(bench.suspended(), [""; 0]);
    assert!(bench.world.resume("x", &[], 0).is_err());
}

#[test]
fn nothing_is_launched_until_launch_is_resumed() {
    let mut bench = Bench::new(0, 4, 0, "");
    bench.set(2);
    bench.suspend(&["Launch"]);
    bench.pass(1_000);
    assert_eq!((bench.ids().len(), bench.desired()), (0, 2));
    bench.resume(&["Launch"]);
    bench.pass(10);
    assert_eq!(bench.ids().len(), 2);
}

#[test]
fn a_surplus_stays_until_terminate_is_resumed_but_a_request_is_carried_out() {
    let mut bench = Bench::new(0, 4, 3, "");
    let ids = bench.ids();
    bench.suspend(&["Terminate"]);
    bench.set(1);
    bench.pass(500);
    assert_eq!(bench.ids(), ids);
    bench.terminate(&[&ids[2]], true).unwrap();
    bench.pass(500);
    assert_eq!((bench.ids(), bench.desired()), (ids[..2].to_vec(), 0));
    bench.resume(&["Terminate"]);
    bench.pass(500);
    assert_eq!(bench.ids(), [""; 0]);
}

#[test]
fn the_dead_are_noticed_and_stay_until_they_may_be_replaced() {
    for process in ["ReplaceUnhealthy", "Terminate"] {
        let mut bench = Bench::new(0, 4, 1, "");
        let id = bench.ids().remove(0);
        bench.suspend(&[process]);
        assert!(bench.world.die(&id, bench.now_ms));
        bench.pass(1_000);
        assert_eq!(bench.members(), [(id.clone(), "InService")], "{process}");
        assert_eq!(bench.world.cloud().instances[&id].health(), "Unhealthy");
        bench.resume(&[process]);
        bench.pass(500);
        assert!(bench.ids().len() == 1 && bench.ids()[0] != id, "{process}");
    }
}

#[test]
fn an_alarm_changes_no_capacity_without_alarm_notification() {
    let alarm = "[[alarm]]\nname=\"a\"\nnamespace=\"n\"\nmetric=\"m\"\nthreshold=0\nperiod_ms=1000\ngroup=\"g\"\n\
                 adjustment=1\nstatistic=\"SampleCount\"";
    let mut bench = Bench::new(0, 4, 0, alarm);
    let key = || MetricKey { namespace: "n".into(), name: "m".into(), dimensions: BTreeMap::new() };
    for (suspended, want) in [(true, 0), (false, 1)] {
        if suspended {
            bench.suspend(&["AlarmNotification"]);
        } else {
            bench.resume(&["AlarmNotification"]);
        }
        bench.world.put_metric(key(), Point { at_ms: bench.now_ms, value: 1.0 });
        bench.pass(1_000);
        assert_eq!(bench.desired(), want);
    }
}
