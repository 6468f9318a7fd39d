//! What is kept of an image in an ImageProfile is judged as the image itself.

use hostfit_cli::cases::Question;
use hostfit_crds::ImageProfileStatus;
use hostfit_engine::fact::{Fact, Gap};
use hostfit_engine::image::{ImageFacts, Inspected, Manifest, PlatformFacts};

/// That the images of a question are judged as what would be kept of them.
pub(super) fn check(question: &Question) -> Result<(), String> {
    let facts: Vec<_> = question.facts().collect();
    let kept: Vec<_> = facts
        .iter()
        .map(|fact| kept(fact))
        .collect::<Result<_, _>>()?;
    let kept: Vec<_> = kept.iter().collect();
    match question.judge(&kept) == question.judge(&facts) {
        true => Ok(()),
        false => Err("what its ImageProfile keeps is judged otherwise".to_owned()),
    }
}

/// An image as it comes back from its profile, by way of the API server.
fn kept(fact: &Fact<ImageFacts>) -> Result<Fact<ImageFacts>, String> {
    let Fact::Known(facts, evidence) = fact else {
        return Ok(fact.clone());
    };
    let is_lasting = |it: &PlatformFacts| match &it.contents {
        Fact::Known(..) | Fact::Unknown(Gap::Malformed { .. } | Gap::NotFetchedInTime) => true,
        Fact::Unknown(_) => false,
    };
    if !facts.platforms.iter().all(is_lasting) {
        return Ok(fact.clone());
    }
    let manifest = Manifest {
        digest: facts.digest.clone(),
        size: 1,
    };
    let inspected = Inspected {
        facts: facts.clone(),
        manifests: vec![manifest; facts.platforms.len()],
    };
    let status = ImageProfileStatus::of(&inspected);
    let json = serde_json::to_string(&status).map_err(|it| it.to_string())?;
    if json.len() > 4096 * facts.platforms.len().max(1) {
        return Err(format!("its ImageProfile has {} bytes", json.len()));
    }
    let status: ImageProfileStatus = serde_json::from_str(&json).map_err(|it| it.to_string())?;
    let read = status.facts(facts.digest.clone());
    let read = read.ok_or("its ImageProfile cannot be read back")?;
    Ok(Fact::Known(read.facts, evidence.clone()))
}
