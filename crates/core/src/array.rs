//! Slurm's `array_task_str`: which tasks of a job array are pending, as in `0-3,7,10-20:2%4`.

/// How many tasks the text stands for, and the `%N` limit on tasks that run at once. What is
/// not understood counts as nothing; a text that Slurm has cut off (`…`) counts for what it says.
#[must_use]
pub fn pending_tasks(text: &str) -> (u32, Option<u32>) {
    let (tasks, limit) = match text.split_once('%') {
        Some((tasks, limit)) => (tasks, limit.parse().ok()),
        None => (text, None),
    };
    let count = tasks.split(',').filter_map(range).fold(0_u32, u32::saturating_add);
    (count, limit)
}

fn range(text: &str) -> Option<u32> {
    let (range, step) = match text.split_once(':') {
        Some((range, step)) => (range, step.parse().ok().filter(|step| *step > 0)?),
        None => (text, 1),
    };
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
    Some((last.checked_sub(first)? / step).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::pending_tasks;

    #[test]
    fn tasks_are_counted_in_each_form_that_slurm_writes() {
        let table = [
            ("3", (1, None)),
            ("0-4", (5, None)),
            ("0-4%2", (5, Some(2))),
            ("1,3,5-9:2%4", (5, Some(4))),
            ("0-9,...", (10, None)),
            ("4-1", (0, None)),
            ("0-9:0", (0, None)),
            ("0-4294967295", (u32::MAX, None)),
            ("", (0, None)),
            ("x%y", (0, None)),
        ];
        for (text, count) in table {
            assert_eq!(pending_tasks(text), count, "{text}");
        }
    }
}
