//! Modules of the kernel: which are there, whether they have to be signed, and what those that are loaded tell of packet
//! filters.

use std::collections::BTreeSet;

use hostfit_engine::files::Iptables;

use crate::Machine;

/// Modules that rules ask for.
const MODULES: [&str; 3] = ["ip_tables", "iptable_nat", "nf_tables"];

impl Machine {
    /// Of the modules that rules ask for those that are loaded, built in or lie ready. `None` if none of the lists can be
    /// read.
    pub(crate) fn modules(&self, release: &str) -> Option<BTreeSet<String>> {
        let loaded = self.text("proc/modules");
        let lists = ["modules.builtin", "modules.dep"].map(|list| self.module_list(release, list));
        // What is loaded tells nothing of what could be.
        if lists.iter().all(Option::is_none) {
            return None;
        }
        let loaded = loaded.iter().flat_map(|text| text.lines());
        let loaded = loaded
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned);
        let ready = lists
            .iter()
            .flatten()
            .flat_map(|text| text.lines())
            .map(module_name);
        let all: BTreeSet<String> = loaded.chain(ready).collect();
        Some(
            MODULES
                .iter()
                .filter(|it| all.contains(**it))
                .map(|it| (*it).to_owned())
                .collect(),
        )
    }

    /// `sig_enforce`, or a lockdown, or how the kernel was built. Without the first there are no signatures at all. Where the
    /// lockdown is hidden, as in a container without the machine's `sys`, nothing denies one.
    pub(crate) fn signed_modules(&self, config: Option<&str>) -> Option<bool> {
        let lockdown = self.text("sys/kernel/security/lockdown");
        let is = |wanted: &str| config.is_some_and(|it| it.lines().any(|line| line == wanted));
        // `none [integrity] confidentiality`: what is in brackets holds.
        let is_locked = lockdown.as_ref().map(|text| !text.contains("[none]"));
        let never_locks = config.is_some() && !is("CONFIG_SECURITY_LOCKDOWN_LSM=y");
        let is_locked = is_locked.or(never_locks.then_some(false));
        if is_locked == Some(true) || is("CONFIG_MODULE_SIG_FORCE=y") {
            return Some(true);
        }
        match self.text("sys/module/module/parameters/sig_enforce") {
            Some(text) if text.trim() == "Y" => Some(true),
            Some(_) => is_locked,
            None => self.exists("sys/module").then_some(false),
        }
    }

    /// What holds no rules, since it is not loaded, leaves those that there are to the other. Of what is built in nobody can
    /// tell whether it holds any.
    pub(crate) fn iptables(&self, release: &str) -> Option<Iptables> {
        const LEGACY: [&str; 3] = ["iptable_filter", "iptable_mangle", "iptable_nat"];
        const NFT: [&str; 1] = ["nf_tables"];
        let loaded = self.text("proc/modules")?;
        let loaded: BTreeSet<_> = loaded
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let built_in = self.module_list(release, "modules.builtin")?;
        let built_in: BTreeSet<_> = built_in.lines().map(module_name).collect();
        let asked = LEGACY.iter().chain(&NFT);
        if asked.into_iter().any(|it| built_in.contains(*it)) {
            return None;
        }
        let is_there = |names: &[&str]| names.iter().any(|it| loaded.contains(it));
        match (is_there(&LEGACY), is_there(&NFT)) {
            (true, false) => Some(Iptables::Legacy),
            (false, true) => Some(Iptables::Nft),
            (true, true) | (false, false) => None,
        }
    }

    fn module_list(&self, release: &str, list: &str) -> Option<String> {
        let places = ["usr/lib/modules", "lib/modules"];
        places
            .iter()
            .find_map(|place| self.text(&format!("{place}/{release}/{list}")))
    }
}

/// The name under which a module is loaded, by a line of a list: `kernel/net/nf_tables.ko.xz: …`
fn module_name(line: &str) -> String {
    let file = line.split(':').next().unwrap_or(line);
    let file = file.rsplit('/').next().unwrap_or(file);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}
