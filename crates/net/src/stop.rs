//! The word that it is time to end, from one hand to all listeners and connections.

use tokio::sync::watch;

/// The hand on the brake.
#[derive(Debug)]
pub struct Stopper {
    word: watch::Sender<bool>,
}

/// Hears the word. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Stop {
    word: Option<watch::Receiver<bool>>,
}

impl Stopper {
    /// A brake and the signal to hand out.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self { word: sender }, Stop { word: Some(receiver) })
    }

    /// Gives the word. It cannot be taken back.
    pub fn stop(&self) {
        self.word.send_replace(true);
    }
}

impl Stop {
    /// A signal that never comes.
    pub fn never() -> Self {
        Self { word: None }
    }

    pub fn is_stopping(&self) -> bool {
        self.word.as_ref().is_some_and(|word| *word.borrow())
    }

    /// Ends when the word was given; at once if it was given before. Cancel-safe.
    pub async fn wait(&mut self) {
        let heard = match &mut self.word {
            Some(word) => word.wait_for(|stopping| *stopping).await.is_ok(),
            None => false,
        };
        // A brake that was dropped without being pulled will never be pulled.
        if !heard {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_word_reaches_all_and_stays() {
        let (stopper, stop) = Stopper::new();
        let mut early = stop.clone();
        let waiting = tokio::spawn(async move { early.wait().await });
        assert!(!stop.is_stopping());
        stopper.stop();
        waiting.await.unwrap();
        let mut late = stop.clone();
        drop(stopper);
        late.wait().await;
        assert!(stop.is_stopping());
        assert!(!Stop::never().is_stopping());
    }
}
