"""The mailbox out: what is to be told to whom, kept with the incidents until it was delivered."""
