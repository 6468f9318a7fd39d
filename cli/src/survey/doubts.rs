//! What people declared and what says nothing of it, or hardly what was meant.

use hostfit_engine::exception::Exception;
use kube::ResourceExt as _;

use super::Survey;

impl Survey {
    /// A sentence on each row and each exception that cannot be read, or names what nothing here bears.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let profiles = self.profiles();
        let profiles: Vec<_> = profiles.iter().map(String::as_str).collect();
        let mut doubts = Vec::new();
        for matrix in &self.objects.matrices {
            let place = format!("SupportMatrix {}", matrix.name_any());
            match matrix.policy() {
                Err(error) => doubts.push(format!("{place}: none of its rows counts: {error}")),
                Ok(policy) => {
                    let rows = policy.rules.rows.iter();
                    let names = rows.flat_map(|row| row.unknown_names(&profiles));
                    doubts.extend(names.map(|it| format!("{place}: {it}")));
                }
            }
        }
        for exception in &self.objects.exceptions {
            let namespace = exception.namespace().unwrap_or_default();
            let place = format!("CompatException {namespace}/{}", exception.name_any());
            match Exception::try_from(exception) {
                _ if !self.items.iter().any(|it| it.namespace == namespace) => {}
                Err(error) => doubts.push(format!("{place} accepts nothing: {error}")),
                Ok(read) if read.is_active(self.now) => {
                    let names = read.unknown_names(&profiles).into_iter();
                    doubts.extend(names.map(|it| format!("{place}: {it}")));
                }
                Ok(_) => {}
            }
        }
        doubts
    }

    /// The names that rows and exceptions may mean, whatever hosts are judged on.
    fn profiles(&self) -> Vec<String> {
        let objects = &self.objects;
        let has_rows = objects.matrices.iter().any(|it| !it.spec.rules.is_empty());
        if !has_rows && objects.exceptions.is_empty() {
            return Vec::new();
        }
        let declared = objects.host_profiles.iter().map(|it| it.name_any());
        // Without an operator hosts are named as it would name them.
        let seen = (!objects.has_operator()).then(|| objects.fleet());
        let seen = seen.iter().flat_map(|fleet| fleet.hosts());
        let hosts = seen.chain(self.fleet.hosts()).map(|it| it.name.0.clone());
        declared.chain(hosts).collect()
    }
}
