//! The report as one table: a figure a line, so that spreadsheets can filter and sum.

use super::figures::{Figures, GroupFigures, Times};

/// The table, with its heading. Lines end as RFC 4180 wants them read anywhere.
pub fn table(figures: &Figures) -> String {
    let mut table = Table { out: "group,kind,name,value,unit\n".to_owned() };
    for (name, group) in &figures.groups {
        table.group(name, group, figures.currency.as_deref().unwrap_or(""));
    }
    table.times("", "job_wait", &figures.job_waits);
    table.row("", "job_wait", "failed", &figures.job_waits_failed.to_string(), "jobs");
    for wait in &figures.longest_waits {
        table.row("", "longest_wait", &wait.job.to_string(), &wait.wait_s.to_string(), "s");
    }
    for failure in &figures.failures {
        let name = format!("{} {}", failure.event, failure.code);
        table.row("", "failure", name.trim_end(), &failure.count.to_string(), "events");
    }
    table.row("", "log", "events", &figures.events.to_string(), "events");
    table.row("", "log", "dropped", &figures.events_dropped.to_string(), "events");
    table.out
}

struct Table {
    out: String,
}

impl Table {
    fn row(&mut self, group: &str, kind: &str, name: &str, value: &str, unit: &str) {
        let cells = [group, kind, name, value, unit].map(quoted);
        self.out += &(cells.join(",") + "\n");
    }

    fn group(&mut self, name: &str, group: &GroupFigures, currency: &str) {
        for (state, hours) in &group.instance_hours {
            self.row(name, "instance_hours", state, &hours.to_string(), "h");
        }
        for (state, money) in group.cost.iter().flatten() {
            self.row(name, "cost", state, &money.to_string(), currency);
        }
        self.row(name, "unknown", "time", &group.unknown_hours.to_string(), "h");
        self.row(name, "instances", "bound", &group.instances_bound.to_string(), "instances");
        for (reason, count) in &group.instances_terminated {
            let name_of = format!("terminated {reason}");
            self.row(name, "instances", &name_of, &count.to_string(), "instances");
        }
        self.times(name, "boot", &group.boots);
    }

    fn times(&mut self, group: &str, kind: &str, times: &Times) {
        self.row(group, kind, "count", &times.count.to_string(), "");
        let values = [
            ("p50", times.p50_s),
            ("p90", times.p90_s),
            ("p99", times.p99_s),
            ("max", times.max_s),
        ];
        for (name, secs) in values {
            self.row(group, kind, name, &secs.to_string(), "s");
        }
    }
}

/// In quotes where a comma or a quote would be taken for another cell. What a spreadsheet would
/// take for a formula is made text: words in the log may be somebody else's.
fn quoted(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t']) && cell.parse::<f64>().is_err();
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn cells_stay_cells_and_text_stays_text() {
        let table = [
            ("a", "a"),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("=1+1", "'=1+1"),
            ("-1.5", "-1.5"),
        ];
        for (cell, expected) in table {
            assert_eq!(quoted(cell), expected);
        }
    }
}
