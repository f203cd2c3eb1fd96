"""What work is worth: value rules, work classes, price book, standard cost."""
