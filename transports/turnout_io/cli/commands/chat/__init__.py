"""`turnout chat` and `turnout logs`: questions, answers, and the conversations that are kept."""
