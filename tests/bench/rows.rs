//! Rows of the table, and the arithmetic behind them.

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    name: String,
    #[arg(long, default_value = "")]
    unit: String,
    #[arg(long, conflicts_with = "at_most")]
    at_least: Option<f64>,
    #[arg(long)]
    at_most: Option<f64>,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let goal = match (args.at_least, args.at_most) {
        (Some(goal), _) => Goal::AtLeast(goal),
        (None, Some(goal)) => Goal::AtMost(goal),
        (None, None) => Goal::None,
    };
    let (mut pairs, mut single) = (Vec::new(), None);
    for line in std::io::read_to_string(std::io::stdin())?.lines() {
        let numbers: Vec<f64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        match numbers.as_slice() {
            [value] => single = Some(*value),
            [ours, floor] => pairs.push((*ours, *floor)),
            _ => anyhow::bail!("one or two numbers a line: {line:?}"),
        }
    }
    match single {
        Some(value) => counted(&args.name, value, &args.unit, &goal),
        None => compared(&args.name, &args.unit, &pairs, &goal),
    }
    Ok(())
}

/// What is wished of a number.
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// For information.
    None,
}

impl Goal {
    fn is_met(&self, value: f64) -> bool {
        match self {
            Self::AtLeast(goal) => value >= *goal,
            Self::AtMost(goal) => value <= *goal,
            Self::None => true,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(goal) => write!(f, ">= {goal}"),
            Self::AtMost(goal) => write!(f, "<= {goal}"),
            Self::None => Ok(()),
        }
    }
}

/// Pairs of neighbours, ours and the floor's: the medians of both, and the median of their ratios.
pub(crate) fn compared(name: &str, unit: &str, pairs: &[(f64, f64)], goal: &Goal) {
    let ours = median(pairs.iter().map(|(ours, _)| *ours));
    let floor = median(pairs.iter().map(|(_, floor)| *floor));
    let ratio = median(pairs.iter().map(|(ours, floor)| ours / floor));
    let (ours, floor) = (
        format!("{} {unit}", short(ours)),
        format!("{} {unit}", short(floor)),
    );
    row(name, &ours, &floor, &format!("{ratio:.2}"), goal, ratio);
}

/// A number that has no floor.
pub(crate) fn counted(name: &str, value: f64, unit: &str, goal: &Goal) {
    row(
        name,
        &format!("{} {unit}", short(value)),
        "",
        "",
        goal,
        value,
    );
}

/// The names of the columns.
pub(crate) fn header() {
    println!(
        "{:<58} {:>12} {:>12} {:>6}  goal",
        "what", "ours", "floor", "ratio"
    );
}

fn row(name: &str, ours: &str, floor: &str, ratio: &str, goal: &Goal, judged: f64) {
    let verdict = match goal {
        Goal::None => "",
        goal if goal.is_met(judged) => "ok",
        _ => "MISSED",
    };
    let line = format!("{name:<58} {ours:>12} {floor:>12} {ratio:>6}  {goal:<8} {verdict}");
    println!("{}", line.trim_end());
}

/// Three digits that matter.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value.fract() == 0.0 => format!("{value:.0}"),
        value => format!("{value:.3}"),
    }
}

/// The value in the middle; not a number if there is none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    percentile(&values, 50)
}

/// Of sorted values.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((sorted.len() * percent / 100).min(last))
        .copied()
        .unwrap_or(f64::NAN)
}
