//! Comet over real HTTP against a scripted driver.
