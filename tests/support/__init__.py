"""What several folders of tests share: programs, honest provers, second opinions."""
