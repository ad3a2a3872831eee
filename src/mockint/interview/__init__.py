"""The interview: what to say next (`moves`), who says it (`interviewers`), and the loop that writes it down (`room`)."""
