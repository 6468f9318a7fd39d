//! Modules of the kernel: which are there, whether they have to be signed, and what those that are loaded tell of packet
//! filters.

use std::collections::BTreeSet;

use hostfit_engine::files::Iptables;

use crate::{Machine, has_line};

/// Modules that rules ask for.
const MODULES: [&str; 4] = ["ip_tables", "iptable_filter", "iptable_nat", "nf_tables"];

/// What a machine says of its modules: those that are loaded, that are built in, and that lie ready.
pub(crate) struct ModuleLists {
    loaded: Option<String>,
    built_in: Option<String>,
    ready: Option<String>,
}

impl ModuleLists {
    pub(crate) fn read(machine: &Machine, release: &str) -> Self {
        let list = |list: &str| {
            let places = ["usr/lib/modules", "lib/modules"];
            let mut places = places.iter();
            places.find_map(|place| machine.text(&format!("{place}/{release}/{list}")))
        };
        Self {
            loaded: machine.text("proc/modules"),
            built_in: list("modules.builtin"),
            ready: list("modules.dep"),
        }
    }

    fn loaded(&self) -> impl Iterator<Item = &str> {
        let lines = self.loaded.iter().flat_map(|text| text.lines());
        lines.filter_map(|line| line.split_whitespace().next())
    }

    /// Of the modules that rules ask for those that are there. `None` if none of the lists of a kernel can be read.
    pub(crate) fn asked_for(&self) -> Option<BTreeSet<String>> {
        let lists = [&self.built_in, &self.ready];
        // What is loaded tells nothing of what could be.
        if lists.iter().all(|list| list.is_none()) {
            return None;
        }
        let lines = lists.into_iter().flatten().flat_map(|text| text.lines());
        let loaded = self.loaded().map(str::to_owned);
        let all: BTreeSet<String> = loaded.chain(lines.map(module_name)).collect();
        let asked = MODULES.iter().filter(|it| all.contains(**it));
        Some(asked.map(|it| (*it).to_owned()).collect())
    }

    /// What holds no rules, since it is not loaded, leaves those that there are to the other. Of what is built in nobody can
    /// tell whether it holds any.
    pub(crate) fn iptables(&self) -> Option<Iptables> {
        const LEGACY: [&str; 3] = ["iptable_filter", "iptable_mangle", "iptable_nat"];
        const NFT: [&str; 1] = ["nf_tables"];
        self.loaded.as_ref()?;
        let built_in: BTreeSet<_> = self.built_in.as_ref()?.lines().map(module_name).collect();
        let mut asked = LEGACY.iter().chain(&NFT);
        if asked.any(|it| built_in.contains(*it)) {
            return None;
        }
        let is_there = |names: &[&str]| self.loaded().any(|it| names.contains(&it));
        match (is_there(&LEGACY), is_there(&NFT)) {
            (true, false) => Some(Iptables::Legacy),
            (false, true) => Some(Iptables::Nft),
            (true, true) | (false, false) => None,
        }
    }
}

impl Machine {
    /// `sig_enforce`, or a lockdown, or how the kernel was built. Without the first there are no signatures at all. Where the
    /// lockdown is hidden, as in a container without the machine's `sys`, nothing denies one.
    pub(crate) fn signed_modules(&self, config: Option<&str>) -> Option<bool> {
        let lockdown = self.text("sys/kernel/security/lockdown");
        let is = |wanted: &str| config.is_some_and(|it| has_line(it, wanted));
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
}

/// The name under which a module is loaded, by a line of a list: `kernel/net/nf_tables.ko.xz: …`
fn module_name(line: &str) -> String {
    let file = line.split(':').next().unwrap_or(line);
    let file = file.rsplit('/').next().unwrap_or(file);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}
