//! What to do about a finding where there is no cluster: the judge's fixes speak of one where only that can supply what is
//! missing.

use hostfit_engine::finding::{Code, Finding, plain};

/// Longest fix that is shown.
const TEXT: usize = 300;

/// The fix of a finding, for who sits at a terminal.
pub(crate) fn fix(finding: &Finding) -> String {
    let text = match finding.code {
        Code::HF901 => "log in to it (docker login, podman login), or make the repository readable",
        Code::HF902 => "wait, or log in to an account with a higher limit",
        Code::HF904 => return of_fact(finding),
        Code::HF905 => "try again: it took longer than is waited for here",
        Code::HF907 if finding.image.ends_with("may not be asked") => {
            "add it to --registry-allow, or allow its address, if it is one of yours"
        }
        Code::HF907 => {
            "check its name, its certificate (--registry-ca-file) and the network from this machine"
        }
        Code::HF908 => {
            "correct its name; if it is right, build the image again and push it, or save it again (docker save)"
        }
        _ => return plain(&finding.fix_without_selection(), TEXT),
    };
    plain(text, TEXT)
}

fn of_fact(finding: &Finding) -> String {
    let host = finding.host.as_deref();
    let fact = host.and_then(|host| host.strip_prefix("does not tell its "));
    format!(
        "name {} in a file of the host (--host file:PATH), or judge on the machine itself (--host local)",
        fact.unwrap_or("it")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hostfit_engine::fact::{Gap, Unreachable};
    use hostfit_engine::host::HostFact;

    #[test]
    fn without_a_cluster_nothing_of_one_is_advised() {
        let registry = || "registry.example".to_owned();
        let unreachable = |why| Gap::Unreachable {
            registry: registry(),
            why,
        };
        let mut gaps = vec![
            (
                Gap::Unauthorized {
                    registry: registry(),
                },
                "docker login",
            ),
            (
                Gap::RateLimited {
                    registry: registry(),
                },
                "log in",
            ),
            (Gap::NotFetchedInTime, "try again"),
            (unreachable(Unreachable::NoAnswer), "--registry-ca-file"),
            (unreachable(Unreachable::NotAllowed), "--registry-allow"),
            (Gap::NothingTells, "base image"),
            (
                Gap::FilesUnreadable {
                    what: "a layer of it is shorter than it should be".to_owned(),
                },
                "docker save",
            ),
        ];
        for fact in HostFact::ALL {
            gaps.push((Gap::HostFactMissing { fact }, fact.name()));
        }
        for (gap, expected) in gaps {
            let fix = fix(&gap.finding());
            assert!(fix.contains(expected), "{gap:?}: {fix}");
            for word in [
                "node",
                "HostProfile",
                "CompatReport",
                "registry.listed",
                "pods",
            ] {
                assert!(!fix.contains(word), "{gap:?}: {fix}");
            }
        }
    }
}
