//! The pictures: what a game developer wants to know at a glance. The heading says what is drawn and which way is better.

use super::measure::PERCENTILES;
use super::svg::{Anchor, Svg, short, step};
use super::table::title;
use super::{Run, distinct, over_repeats, spread};

const WIDTH: f64 = 1_000.0;
const INK: &str = "#22222a";
const FAINT: &str = "#77777f";
const GRID: &str = "#e3e3e3";
/// Ours; the others are calmer.
const OURS: &str = "#d1495b";
const MARK: &str = "#b8b8b8";
/// One way on the line of W4, ms.
const LINE_MS: f64 = 25.0;
/// One message in a thousand is later.
const THOUSANDTH: f64 = 99.9;
/// A library's usual way has the darker colour, its other ways the lighter ones.
const LIBRARIES: [(&str, [&str; 3]); 4] = [
    ("ours", [OURS, "#e79aa4", "#f2c7cd"]),
    ("gns", ["#30638e", "#6f9cc0", "#a9c8de"]),
    ("enet", ["#3b8b6e", "#7dbb9f", "#b3d9c8"]),
    ("quinn", ["#8d6a9f", "#b79bc6", "#d6c6df"]),
];

/// All pictures there are runs for: file name and document.
pub fn all(runs: &[Run]) -> Vec<(&'static str, String)> {
    let made = [
        ("latency.svg", latency(runs)),
        ("neighbours.svg", neighbours(runs)),
        ("messages.svg", messages(runs)),
        ("sessions.svg", sessions(runs)),
    ];
    made.into_iter().filter_map(|(name, picture)| Some((name, picture?))).collect()
}

fn colour(transport: &str, transports: &[&str]) -> &'static str {
    let library = transport.split('-').next().unwrap_or_default();
    let Some((_, shades)) = LIBRARIES.iter().find(|(name, _)| *name == library) else { return MARK };
    let mut ways: Vec<&str> =
        transports.iter().filter_map(|name| name.strip_prefix(library)?.strip_prefix('-')).collect();
    ways.sort_unstable();
    let way = transport.strip_prefix(library).and_then(|rest| rest.strip_prefix('-'));
    let shade = way.map_or(0, |way| 1 + ways.iter().take_while(|other| **other != way).count());
    shades[shade.min(shades.len() - 1)]
}

fn head(svg: &mut Svg, title: &str, below: &str) {
    svg.text((24.0, 34.0), Anchor::Start, 19.0, INK, true, title);
    svg.text((24.0, 56.0), Anchor::Start, 13.0, FAINT, false, below);
}

/// W4 at 5 % loss: how late the latest messages are. The axis stretches the last percents, which is where games hurt.
fn latency(runs: &[Run]) -> Option<String> {
    let of_tick: Vec<Run> = runs.iter().filter(|run| run.workload == "w4").cloned().collect();
    let variants = distinct(&of_tick, |run| &run.variant);
    let variant = variants.iter().find(|name| **name == "5 % loss").or(variants.last())?;
    let of_case: Vec<Run> =
        of_tick.iter().filter(|run| run.variant == **variant && !run.curve.is_empty()).cloned().collect();
    let transports = distinct(&of_case, |run| &run.transport);
    let curves: Vec<(&str, Vec<f64>)> = transports
        .iter()
        .map(|transport| {
            let at = |n: usize| {
                let same = of_case.iter().filter(|run| run.transport == *transport);
                spread(same.filter_map(|run| run.curve.get(n).copied()).collect()).map_or(0.0, |s| s.0)
            };
            (*transport, (0..PERCENTILES.len()).map(at).collect())
        })
        .collect();
    // One library with a very long tail must not flatten all others.
    let tops = curves.iter().map(|(_, curve)| curve.iter().copied().fold(0.0, f64::max));
    let most = tops.fold(0.0, f64::max).clamp(50.0, 400.0);
    let (left, right, top, bottom) = (70.0, WIDTH - 300.0, 80.0, 440.0);
    let nines = |percentile: f64| -(1.0 - percentile / 100.0).log10();
    // It ends where the numbers beside the names are taken from.
    let last = nines(THOUSANDTH);
    let x = |percentile| left + nines(percentile) / last * (right - left);
    let y = |ms: f64| bottom - ms.min(most) / most * (bottom - top);
    let mut svg = Svg::new(WIDTH, 500.0);
    let below = format!(
        "reliable 100-byte messages, 60 a second each way, {variant}; beside the names: what 1 message in 1000 exceeds"
    );
    head(&mut svg, "How late the slowest messages are: lower is better", &below);
    let every = step(most);
    for n in 0..=(most / every + 0.001) as usize {
        let ms = n as f64 * every;
        svg.line(&[(left, y(ms)), (right, y(ms))], GRID, 1.0);
        svg.text((left - 8.0, y(ms) + 4.0), Anchor::End, 12.0, FAINT, false, &format!("{ms:.0} ms"));
    }
    let marks = [(50.0, "every 2nd"), (90.0, "1 in 10"), (95.0, "1 in 20"), (99.0, "1 in 100"), (99.9, "1 in 1000")];
    for (percentile, text) in marks {
        svg.line(&[(x(percentile), top), (x(percentile), bottom)], GRID, 1.0);
        svg.text((x(percentile), bottom + 18.0), Anchor::Middle, 12.0, INK, false, text);
        svg.text((x(percentile), bottom + 34.0), Anchor::Middle, 11.0, FAINT, false, &format!("p{percentile}"));
    }
    svg.text((left, bottom + 52.0), Anchor::Start, 12.0, FAINT, false, "share of messages that are at least as late");
    // Ours last, on top; labels at the curves' ends, pushed apart.
    let mut ends: Vec<(f64, &str, f64)> = Vec::new();
    svg.line(&[(left, y(LINE_MS)), (right, y(LINE_MS))], FAINT, 1.0);
    svg.text((left + 4.0, y(LINE_MS) + 16.0), Anchor::Start, 12.0, FAINT, false, "25 ms: the line itself");
    let drawn = PERCENTILES.iter().take_while(|percentile| **percentile <= THOUSANDTH).count();
    for (transport, curve) in curves.iter().rev() {
        let points: Vec<(f64, f64)> =
            PERCENTILES[..drawn].iter().zip(curve).map(|(percentile, ms)| (x(*percentile), y(*ms))).collect();
        let thick = if *transport == "ours" { 3.5 } else { 2.0 };
        svg.line(&points, colour(transport, &transports), thick);
        ends.extend(points.last().map(|(_, y)| (*y, *transport, curve[drawn - 1])));
    }
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = top + 4.0;
    for (y, transport, ms) in ends {
        let at = (y + 4.0).max(free);
        free = at + 16.0;
        let ink = colour(transport, &transports);
        let label = format!("{} · {ms:.0} ms", title(transport));
        svg.text((right + 8.0, at), Anchor::Start, 12.5, ink, transport == "ours", &label);
    }
    Some(svg.finish())
}

/// A group of bars of one transport, each with its number; `None` where nothing was measured.
struct Row<'a> {
    transport: &'a str,
    bars: Vec<Option<f64>>,
    note: String,
}

/// Horizontal bars, a group for each transport, longest bar as long as there is room.
fn bars(heading: &str, below: &str, unit: &str, legend: &[&str], rows: &[Row<'_>]) -> Option<String> {
    let most = rows.iter().flat_map(|row| row.bars.iter().flatten()).copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let transports: Vec<&str> = rows.iter().map(|row| row.transport).collect();
    let (left, right, top, thick) = (305.0, WIDTH - 290.0, 84.0, 17.0);
    let group = legend.len() as f64 * (thick + 3.0) + 14.0;
    let legend_height = if legend.len() > 1 { 26.0 } else { 0.0 };
    let mut svg = Svg::new(WIDTH, top + legend_height + group * rows.len() as f64 + 16.0);
    head(&mut svg, heading, below);
    let mut x = left;
    for (n, text) in legend.iter().enumerate().filter(|_| legend.len() > 1) {
        svg.bar(x, top - 6.0, 14.0, 12.0, if n == 0 { FAINT } else { MARK });
        svg.text((x + 20.0, top + 4.5), Anchor::Start, 12.0, FAINT, false, text);
        x += 44.0 + 7.0 * text.len() as f64;
    }
    for (n, row) in rows.iter().enumerate() {
        let y = top + legend_height + n as f64 * group;
        let middle = y + (group - 14.0) / 2.0 + 3.0;
        let ours = row.transport == "ours";
        svg.text((left - 12.0, middle), Anchor::End, 13.5, INK, ours, &title(row.transport));
        for (n, bar) in row.bars.iter().enumerate() {
            let y = y + n as f64 * (thick + 3.0);
            let Some(value) = bar else { continue };
            let width = value / most * (right - left);
            // The first bar of a group is the strong one.
            let ink = if n == 0 { colour(row.transport, &transports) } else { MARK };
            svg.bar(left, y, width, thick, ink);
            let note = if n == 0 { row.note.as_str() } else { "" };
            let text = format!("{}{unit}{note}", if unit == " ms" { format!("{value:.0}") } else { short(*value) });
            svg.text((left + width + 8.0, y + thick - 4.0), Anchor::Start, 12.5, INK, ours && n == 0, &text);
        }
    }
    Some(svg.finish())
}

/// The transports of a case with the medians of some measures, the best first measure first.
fn medians<'a>(runs: &'a [Run], workload: &str, keys: &[&str], more: bool) -> Vec<(&'a str, Vec<Option<f64>>)> {
    let Some(first) = runs.iter().find(|run| run.workload == workload) else { return Vec::new() };
    let transports = distinct(runs, |run| &run.transport).into_iter();
    let of = |transport: &str, key: &&str| over_repeats(runs, workload, &first.variant, transport, key).map(|s| s.0);
    let rows = transports.map(|transport| (transport, keys.iter().map(|key| of(transport, key)).collect::<Vec<_>>()));
    let mut rows: Vec<_> = rows.filter(|(_, values)| values[0].is_some()).collect();
    rows.sort_by(|a, b| if more { b.1[0].partial_cmp(&a.1[0]) } else { a.1[0].partial_cmp(&b.1[0]) }.expect("numbers"));
    rows
}

/// What a reader must know beside the number: who does not encrypt, and who lost more than the workload allows.
fn caveats(runs: &[Run], workload: &str, transport: &str) -> String {
    let mut same = runs.iter().filter(|run| run.workload == workload && run.transport == transport);
    let Some(run) = same.find(|run| run.failure.is_none()) else { return String::new() };
    let mut text = String::new();
    if let Some(percent) = run.measures.get("loss_percent").filter(|percent| **percent >= 1.0) {
        text += &format!("; {percent:.0} % lost");
    }
    text + if run.encrypted { "" } else { "; not encrypted" }
}

fn neighbours(runs: &[Run]) -> Option<String> {
    let rows = medians(runs, "w5", &["game_p99_ms", "game_p50_ms", "goodput_percent"], false);
    let rows: Vec<Row<'_>> = rows
        .into_iter()
        .map(|(transport, values)| Row {
            transport,
            note: values[2].map_or(String::new(), |percent| format!("; download {percent:.0} %"))
                + &caveats(runs, "w5", transport),
            bars: values[..2].to_vec(),
        })
        .collect();
    bars(
        "How late a game's messages are beside a download: shorter is better",
        "10 Mbit/s, 25 ms one way; how much of the line the download gets; \"rate set\": told by hand how fast the line is",
        " ms",
        &["99 of 100 messages arrive within", "half of them within"],
        &rows,
    )
}

fn messages(runs: &[Run]) -> Option<String> {
    // A stream knows no messages and loses none: its bar, the longest by far, would say nothing here.
    let mut rows = medians(runs, "w1", &["messages_per_s", "cpu_ns_per_message"], true);
    rows.retain(|(transport, _)| *transport != "tcp");
    let rows: Vec<Row<'_>> = rows
        .into_iter()
        .map(|(transport, values)| Row {
            transport,
            note: values[1].map_or(String::new(), |ns| format!("; {ns:.0} ns CPU each"))
                + &caveats(runs, "w1", transport),
            bars: values[..1].to_vec(),
        })
        .collect();
    let below = "64-byte unreliable messages delivered in one session; CPU time of both ends together";
    bars("How many small messages a second: longer is better", below, "/s", &[""], &rows)
}

fn sessions(runs: &[Run]) -> Option<String> {
    let rows = medians(runs, "w6", &["sessions_per_core", "kib_per_session"], true);
    let rows: Vec<Row<'_>> = rows
        .into_iter()
        .map(|(transport, values)| Row {
            transport,
            note: values[1].map_or(String::new(), |kib| format!("; {kib:.1} KiB each"))
                + &caveats(runs, "w6", transport),
            bars: values[..1].to_vec(),
        })
        .collect();
    let below =
        "sessions with 20 messages a second each way, reckoned from the load of 1,000; memory of each at the server";
    bars("How many players one core of a server carries: longer is better", below, "", &[""], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn run(workload: &str, transport: &str, measures: &[(&str, f64)]) -> Run {
        Run {
            workload: workload.to_owned(),
            variant: "5 % loss".to_owned(),
            transport: transport.to_owned(),
            repeat: 1,
            library: String::new(),
            encrypted: true,
            measures: measures.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect::<BTreeMap<_, _>>(),
            curve: PERCENTILES.iter().map(|percentile| percentile / 2.0).collect(),
            failure: None,
        }
    }

    #[test]
    fn every_picture_names_every_transport_and_shows_its_number() {
        let mut runs = Vec::new();
        for (transport, factor) in [("ours", 1.0), ("enet", 2.0), ("gns-tuned", 3.0)] {
            runs.push(run("w1", transport, &[("messages_per_s", 2e6 / factor), ("cpu_ns_per_message", 500.0)]));
            runs.push(run("w4", transport, &[("p99_ms", 44.0)]));
            runs.push(run("w5", transport, &[("game_p99_ms", 30.0 * factor), ("game_p50_ms", 27.0)]));
            runs.push(run("w6", transport, &[("sessions_per_core", 7_000.0 / factor), ("kib_per_session", 5.0)]));
        }
        let pictures = all(&runs);
        assert_eq!(pictures.len(), 4);
        for (name, picture) in &pictures {
            for text in ["steamnetmsg", "ENet", "GameNetworkingSockets, tuned"] {
                let there = picture.contains(&format!(">{text}<")) || picture.contains(&format!(">{text} · 50 ms<"));
                assert!(there, "{text} in {name}");
            }
            assert!(!picture.contains("NaN") && !picture.contains("inf"), "{name}");
        }
        assert!(pictures[3].1.contains(">7.0 k; 5.0 KiB each<"), "{}", pictures[3].1);
        let messages = &pictures[2].1;
        assert!(messages.contains("2.00 M/s; 500 ns CPU each"), "{messages}");
        let place = |text: &str| messages.find(text).expect("it is there");
        assert!(place(">steamnetmsg<") < place(">ENet<"), "the best one is first");
    }

    #[test]
    fn who_does_not_encrypt_or_loses_messages_is_told_so_beside_its_bar() {
        let mut enet = run("w1", "enet", &[("messages_per_s", 1e6), ("loss_percent", 7.1)]);
        enet.encrypted = false;
        let runs = [enet, run("w1", "ours", &[("messages_per_s", 2e6), ("loss_percent", 0.1)])];
        let picture = messages(&runs).expect("a picture");
        assert!(picture.contains(">1.00 M/s; 7 % lost; not encrypted<"), "{picture}");
        assert!(picture.contains(">2.00 M/s<"), "{picture}");
    }

    #[test]
    fn without_runs_there_are_no_pictures() {
        assert_eq!(all(&[]), []);
        assert_eq!(all(&[run("w1", "ours", &[])]).len(), 0);
    }
}
