"""What becomes of rows: written by sObject Collections (`save`), looked for where they went (`follow`)."""
