"""What every long piece of work needs: a folder of its own, a record of what it was made with, processes."""
