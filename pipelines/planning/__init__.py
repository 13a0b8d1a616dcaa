"""What a build will cost before it is begun: measured rates, and a simulation that uses them."""
