//! Event streams over real HTTP against a scripted driver.
