//! Ten thousand workloads in a snapshot: how long a plan takes, and how much memory.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::golden::SHOP;
use crate::kit::Folder;

const WORKLOADS: usize = 10_000;
/// Different images among them.
const IMAGES: usize = 300;
/// Most memory, in MiB.
const MEMORY: usize = 200;
/// Without optimisation, on a machine that has other things to do, it may take longer.
const PATIENCE: Duration = match cfg!(debug_assertions) {
    true => Duration::from_secs(60),
    false => Duration::from_secs(2),
};

/// The shop, many times over.
fn many() -> Value {
    let mut snapshot: Value = serde_json::from_str(&fs::read_to_string(SHOP).unwrap()).unwrap();
    let workloads = snapshot["objects"]["workloads"].take();
    let shop = workloads.as_array().unwrap();
    let mut made = Vec::new();
    for index in 0..WORKLOADS {
        let mut workload = shop[index % shop.len()].clone();
        workload["namespace"] = format!("team-{}", index % 200).into();
        workload["name"] = format!("w-{index}").into();
        workload["uid"] = format!("u-{index}").into();
        for container in workload["pod"]["containers"].as_array_mut().unwrap() {
            let image = container["image"].as_str().unwrap().to_owned();
            let copy = image.replace(":1", &format!("-{}:1", index % IMAGES));
            snapshot["images"][&copy] = snapshot["images"][&image].clone();
            container["image"] = copy.into();
        }
        made.push(workload);
    }
    snapshot["objects"]["workloads"] = made.into();
    snapshot
}

#[test]
fn a_plan_over_ten_thousand_workloads_is_quick_and_small() {
    let folder = Folder::new("many");
    fs::write(folder.0.join("many.json"), many().to_string()).unwrap();
    let plan = ["plan", "--snapshot", "many.json", "--from", "rhel94-k514"];
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hostfit"))
        .args(plan)
        .args([
            "--to",
            "builtin/rhel-10",
            "--same-machines",
            "--output-file",
            "plan.txt",
        ])
        .current_dir(&folder.0)
        .env_clear()
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let exit = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes =
            line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
        peak = peak.max(kilobytes.unwrap_or_default() / 1024);
        if let Some(exit) = child.try_wait().unwrap() {
            break exit;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = began.elapsed();
    let text = fs::read_to_string(folder.0.join("plan.txt")).unwrap();
    assert_eq!(exit.code(), Some(0), "{text}");
    assert!(text.contains("  10000 workloads run there: "), "{text}");
    println!("{took:?}, {peak} MiB");
    assert!(took < PATIENCE, "{took:?}");
    assert!((10..MEMORY).contains(&peak), "{peak} MiB");
}
