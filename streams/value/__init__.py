"""What work is worth: value rules, work classes, price book, standard cost (VALUE.md). Pure; reads only the data that ships with it."""
