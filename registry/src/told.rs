//! What the log was told of images: the same of the same only once an hour, however often it is asked for.

use std::time::Duration;

use hostfit_engine::fact::Gap;
use hostfit_engine::image::ImageRef;
use moka::sync::Cache;

use crate::error::Failure;

/// After this the same is news again, for whoever reads the end of a log.
const AGAIN: Duration = Duration::from_secs(3600);
/// Images of which it is remembered. Who may create a pod invents others.
const MOST: u64 = 4096;

/// What was asked of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    Image,
    Layers,
    Tags,
}

/// What was logged, by question.
pub(crate) struct Told(Cache<(Question, ImageRef), Gap>);

impl Default for Told {
    fn default() -> Self {
        Self::new(AGAIN)
    }
}

impl Told {
    fn new(again: Duration) -> Self {
        let cache = Cache::builder().max_capacity(MOST).time_to_live(again);
        Self(cache.build())
    }

    /// What users see of a failure, whose details are logged if they are news.
    pub(crate) fn failed(&self, question: Question, image: &ImageRef, failure: &Failure) -> Gap {
        let gap = failure.gap(image.registry());
        if self.is_news(question, image, &gap) {
            let text = match question {
                Question::Image => "image not read",
                Question::Layers => "layers of an image not read",
                Question::Tags => "tags not listed",
            };
            tracing::info!(%image, %failure, "{text}");
        }
        gap
    }

    /// Whether it was not told yet that this question about the image failed in this way.
    fn is_news(&self, question: Question, image: &ImageRef, why: &Gap) -> bool {
        let key = (question, image.clone());
        let is_news = self.0.get(&key).as_ref() != Some(why);
        if is_news {
            self.0.insert(key, why.clone());
        }
        is_news
    }

    /// The question was answered: the next failure is news.
    pub(crate) fn over(&self, question: Question, image: &ImageRef) {
        self.0.invalidate(&(question, image.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_told_once_until_it_changes_or_an_hour_is_over() {
        let image: ImageRef = "a.example/app:1".parse().unwrap();
        let registry = || "a.example".to_owned();
        let refused = Gap::Unauthorized {
            registry: registry(),
        };
        let absent = Gap::NotFound {
            registry: registry(),
        };
        let told = Told::new(AGAIN);
        let says = |why: &Gap| told.is_news(Question::Image, &image, why);
        let first = [&refused, &refused, &absent, &absent, &refused].map(says);
        assert_eq!(first, [true, false, true, false, true]);
        assert!(told.is_news(Question::Tags, &image, &refused));
        told.over(Question::Image, &image);
        assert!(told.is_news(Question::Image, &image, &refused));
        assert!(!told.is_news(Question::Tags, &image, &refused));

        let short = Told::new(Duration::from_millis(1));
        assert!(short.is_news(Question::Image, &image, &refused));
        std::thread::sleep(Duration::from_millis(20));
        assert!(short.is_news(Question::Image, &image, &refused));
    }
}
